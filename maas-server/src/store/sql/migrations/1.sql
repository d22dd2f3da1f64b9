CREATE TABLE machine (
    system_id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL UNIQUE,
    version BIGINT NOT NULL,
    hostname TEXT NOT NULL,
    status BIGINT NOT NULL,
    owner TEXT,
    pool TEXT NOT NULL,
    zone TEXT NOT NULL,
    arch TEXT NOT NULL,
    architecture TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    hardware_uuid TEXT,
    token_key TEXT NOT NULL UNIQUE,
    deadline BIGINT,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX machine_hostname ON machine (hostname) WHERE hostname <> '';
CREATE INDEX machine_status ON machine (status);
CREATE INDEX machine_owner ON machine (owner) WHERE owner IS NOT NULL;
CREATE INDEX machine_pool ON machine (pool);
CREATE INDEX machine_zone ON machine (zone);
CREATE INDEX machine_agent_name ON machine (agent_name) WHERE agent_name <> '';
CREATE INDEX machine_hardware_uuid ON machine (hardware_uuid) WHERE hardware_uuid IS NOT NULL;
CREATE INDEX machine_deadline ON machine (deadline) WHERE deadline IS NOT NULL;

CREATE TABLE machine_mac (
    mac TEXT NOT NULL PRIMARY KEY,
    system_id TEXT NOT NULL REFERENCES machine (system_id) ON DELETE CASCADE
);
CREATE INDEX machine_mac_machine ON machine_mac (system_id);

CREATE TABLE machine_tag (
    tag TEXT NOT NULL,
    system_id TEXT NOT NULL REFERENCES machine (system_id) ON DELETE CASCADE,
    PRIMARY KEY (tag, system_id)
);
CREATE INDEX machine_tag_machine ON machine_tag (system_id);

CREATE TABLE attachment (
    system_id TEXT NOT NULL REFERENCES machine (system_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    bytes {BYTES} NOT NULL,
    PRIMARY KEY (system_id, name)
);

CREATE TABLE effect (
    id {COUNTED},
    system_id TEXT NOT NULL REFERENCES machine (system_id) ON DELETE CASCADE,
    body TEXT NOT NULL,
    due BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX effect_queue ON effect (system_id, id);
CREATE INDEX effect_due ON effect (due);

CREATE TABLE record (
    id {COUNTED},
    system_id TEXT NOT NULL REFERENCES machine (system_id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    level BIGINT NOT NULL,
    kind TEXT NOT NULL,
    description TEXT NOT NULL,
    username TEXT
);
CREATE INDEX record_machine ON record (system_id, id);
CREATE INDEX record_at ON record (at);

CREATE TABLE output (
    run_id BIGINT NOT NULL,
    stream BIGINT NOT NULL,
    system_id TEXT NOT NULL REFERENCES machine (system_id) ON DELETE CASCADE,
    bytes {BYTES} NOT NULL,
    PRIMARY KEY (run_id, stream)
);
CREATE INDEX output_machine ON output (system_id);

CREATE TABLE sequence (
    kind TEXT NOT NULL PRIMARY KEY,
    next BIGINT NOT NULL
);

CREATE TABLE account (
    username TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE api_key (
    id {COUNTED},
    token_key TEXT NOT NULL UNIQUE,
    consumer_key TEXT NOT NULL,
    token_secret TEXT NOT NULL,
    name TEXT NOT NULL,
    username TEXT NOT NULL REFERENCES account (username) ON DELETE CASCADE
);
CREATE INDEX api_key_username ON api_key (username);

CREATE TABLE ssh_key (
    id {COUNTED},
    username TEXT NOT NULL REFERENCES account (username) ON DELETE CASCADE,
    line TEXT NOT NULL,
    source TEXT NOT NULL,
    UNIQUE (username, line)
);

CREATE TABLE document (
    kind TEXT NOT NULL,
    id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    unique_key TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id),
    UNIQUE (kind, unique_key)
);
