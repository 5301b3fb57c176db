"""Who the worker is to AWS: where its keys come from, in AWS's own order, and how they are kept fresh."""
