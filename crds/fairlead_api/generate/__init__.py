"""What is generated from the models: the CRDs, the chart's copies of them, and the reference pages."""
