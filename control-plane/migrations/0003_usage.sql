-- What was used. As before: one DDL for both, times as microseconds since 1970.

-- By hour, user and label, and by the coordinator's start that told it. What shards hold and ask of the object store by
-- themselves is of no user, and has the source 'shards'.
CREATE TABLE usage_hours (
    hour_us BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    user_name TEXT NOT NULL,
    label TEXT NOT NULL,
    source TEXT NOT NULL,
    statements BIGINT NOT NULL,
    processor_us BIGINT NOT NULL,
    resident_mib_s BIGINT NOT NULL,
    scanned_bytes BIGINT NOT NULL,
    exchanged_bytes BIGINT NOT NULL,
    returned_rows BIGINT NOT NULL,
    returned_bytes BIGINT NOT NULL,
    store_requests BIGINT NOT NULL,
    store_bytes BIGINT NOT NULL,
    foreign_us BIGINT NOT NULL,
    foreign_rows BIGINT NOT NULL,
    foreign_bytes BIGINT NOT NULL,
    PRIMARY KEY (hour_us, tenant, user_name, label, source)
);
CREATE INDEX usage_hours_by_tenant ON usage_hours (tenant, hour_us);

-- Starts of coordinators, and the last batch of each that is in usage_hours.
CREATE TABLE usage_sources (
    source TEXT PRIMARY KEY,
    sequence BIGINT NOT NULL,
    seen_at_us BIGINT NOT NULL
);

-- What is in usage_hours of the counters of each start of a shard.
CREATE TABLE usage_shards (
    source TEXT NOT NULL,
    tenant TEXT NOT NULL,
    requests BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    seen_at_us BIGINT NOT NULL,
    PRIMARY KEY (source, tenant)
);

-- When what is held was looked at last, and what is left of it that makes no whole MiB for a second.
CREATE TABLE usage_resident (
    tenant TEXT PRIMARY KEY,
    seen_at_us BIGINT NOT NULL,
    rest BIGINT NOT NULL
);

-- Budgets of which was told that they are nearly spent (1) or spent (2) in the period that began then.
CREATE TABLE usage_notices (
    tenant TEXT NOT NULL,
    budget TEXT NOT NULL,
    began_us BIGINT NOT NULL,
    level BIGINT NOT NULL,
    PRIMARY KEY (tenant, budget)
);
