"""What becomes of a template: stacks, what they see, change sets, and the operations that deploy them."""
