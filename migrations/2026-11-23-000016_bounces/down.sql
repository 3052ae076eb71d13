DROP TABLE bounce_counts;
DROP TABLE suppressions;
