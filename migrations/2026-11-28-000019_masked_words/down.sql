DROP TABLE masking;
