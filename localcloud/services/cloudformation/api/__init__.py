"""CloudFormation's actions, in moto's request and response machinery."""
