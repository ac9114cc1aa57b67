-- One DDL for SQLite and PostgreSQL. Bytes are kept as hexadecimal text, times as microseconds since 1970.

-- One row, which every change locks first: changes come one after the other.
CREATE TABLE state (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    -- The highest version that was given to a document, here or by the cluster.
    version BIGINT NOT NULL,
    -- The end of the audit: how many rows it has, and the hash of the last one.
    audit_rows BIGINT NOT NULL,
    audit_hash TEXT NOT NULL
);
INSERT INTO state (id, version, audit_rows, audit_hash)
VALUES (1, 0, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- What was decided last of each thing, as it is published.
CREATE TABLE documents (
    name TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    signed TEXT NOT NULL
);
CREATE INDEX documents_by_version ON documents (version);

-- Secret halves of keys: 'policy' signs documents, 'token/ID' signs access tokens.
CREATE TABLE secrets (
    id TEXT PRIMARY KEY,
    pkcs8 TEXT NOT NULL
);

-- Where the keys of OpenID providers come from, which is not published.
CREATE TABLE providers (
    issuer TEXT PRIMARY KEY,
    jwks_url TEXT NOT NULL,
    fetched_at_us BIGINT NOT NULL,
    -- Why its keys could not be fetched last; empty: they were.
    failure TEXT NOT NULL
);

CREATE TABLE audit (
    number BIGINT PRIMARY KEY,
    at_us BIGINT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- JSON.
    state_before TEXT NOT NULL,
    state_after TEXT NOT NULL,
    -- SHA-256 of the hash of the row before and of what this row says.
    hash TEXT NOT NULL
);

-- One row: which instance leads.
CREATE TABLE lease (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    holder TEXT NOT NULL,
    term BIGINT NOT NULL,
    expires_at_us BIGINT NOT NULL
);
INSERT INTO lease (id, holder, term, expires_at_us) VALUES (1, '', 0, 0);

-- One row: what the one that leads knows of the cluster, as JSON.
CREATE TABLE publication (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    report TEXT NOT NULL
);
