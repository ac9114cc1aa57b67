-- How pools of nodes are scaled. As before: one DDL for both, times as microseconds since 1970, and structures as JSON.

-- What operators want of each pool.
CREATE TABLE scale_policies (
    pool TEXT PRIMARY KEY,
    -- Counts its changes, from 1.
    version BIGINT NOT NULL,
    policy TEXT NOT NULL,
    changed_at_us BIGINT NOT NULL
);

-- What the instance that leads remembers of each pool: what it decided, and what it saw last.
CREATE TABLE scale_pools (
    pool TEXT PRIMARY KEY,
    state TEXT NOT NULL
);

-- Nodes that were launched, for a while also those that are gone, each with what became of it.
CREATE TABLE scale_nodes (
    instance TEXT PRIMARY KEY,
    pool TEXT NOT NULL,
    launched_at_us BIGINT NOT NULL,
    -- When it was gone; 0: it is not.
    gone_at_us BIGINT NOT NULL,
    node TEXT NOT NULL
);

-- What a pool needed, minute by minute since 1970, in thousandths of a node.
CREATE TABLE scale_minutes (
    pool TEXT NOT NULL,
    minute BIGINT NOT NULL,
    demand_milli BIGINT NOT NULL,
    PRIMARY KEY (pool, minute)
);
