"""The explorer of notebook 15: which design a program costs least."""

from .guess import Guess, bars, choice


def explorer(costs, measures):
    """A Guess over the costs of the designs on one trace: the reader names the cheapest by the measure chosen.

    `costs` is a DataFrame by strategy, `measures` names columns of it as {heading: column}.
    """
    names = list(costs.index)

    def answer(measure):
        values = costs[measures[measure]].fillna(0)
        cheapest = [name for name in names if values[name] == values.min()]
        return " and ".join(cheapest), bars([(name, values[name].item()) for name in names], measure, cheapest[0])

    return Guess("Which design needs least?", choice("Your guess", names), answer,
                 measure=choice("Measured by", measures))
