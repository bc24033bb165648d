"""One test for each defect that older engines for workflow actions are known to have."""
