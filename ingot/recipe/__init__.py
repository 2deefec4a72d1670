"""What a team writes, validated, locked and named by its digest. Pure: no AWS, no root, no network but in lock."""
