-- How many rows an import expects, so that its progress can be told: about as many as the file has lines. NULL where
-- only the end of the file tells, as with a workbook, and for batches that are no file.
ALTER TABLE batches ADD COLUMN rows_expected integer
    CONSTRAINT batches_rows_expected_check CHECK (rows_expected >= 0);
