-- Staff look for mail that failed or waits: a few of many that were sent, whatever their age.
CREATE INDEX notices_not_sent_idx ON notices (state, id) WHERE state <> 'SENT';
