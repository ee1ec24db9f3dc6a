"""What of a study is planned, done, running or missing."""
