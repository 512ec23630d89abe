"""Tables for a terminal, and rounds summed up."""
import statistics


def show(title, head, rows):
    """Prints a table; the first column is text, the others are right-aligned."""
    cells = [head, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    print(f"\n{title}")
    for row in cells:
        first, *others = row
        aligned = [cell.rjust(width) for cell, width in zip(others, widths[1:])]
        print("  " + "  ".join([first.ljust(widths[0]), *aligned]).rstrip())


def median_and_spread(values):
    """The median, and how far from least to most, in percent of it."""
    median = statistics.median(values)
    return median, (max(values) - min(values)) / median * 100


def ratio(values, others):
    """The median of the ratios round by round: what both rounds have in common is no part of it."""
    return statistics.median(value / other for value, other in zip(values, others))


def count(number):
    return "none" if number is None else f"{number:,}"
