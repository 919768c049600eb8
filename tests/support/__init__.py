"""What several test files share: clips and networks made on the spot, servers, comparisons, where data lies."""
