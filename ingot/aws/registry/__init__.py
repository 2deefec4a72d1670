"""Which AMI is the image of a recipe digest: the registry's entries, and what AMIs say of themselves."""
