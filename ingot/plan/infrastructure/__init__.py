"""The stacks before and after: cloud assemblies, deployed stacks, CloudFormation diffs."""
