"""What commands do: functions that take values, return values and report progress. They print nothing and
never exit.
"""
