CREATE TABLE report (
    system_id TEXT NOT NULL REFERENCES machine (system_id) ON DELETE CASCADE,
    run TEXT NOT NULL,
    number BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (system_id, run, number)
){CLUSTERED};
DELETE FROM document WHERE kind = 'report-trail';
