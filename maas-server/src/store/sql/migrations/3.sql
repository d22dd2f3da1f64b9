CREATE TABLE machine_body (
    system_id TEXT NOT NULL PRIMARY KEY REFERENCES machine (system_id) ON DELETE CASCADE,
    body TEXT NOT NULL
);
INSERT INTO machine_body (system_id, body) SELECT system_id, body FROM machine ORDER BY seq;
ALTER TABLE machine DROP COLUMN body;
ALTER TABLE machine ADD COLUMN progress TEXT NOT NULL DEFAULT '';
