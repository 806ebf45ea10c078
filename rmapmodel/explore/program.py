"""The explorer of notebook 15: which design a program costs least."""

from .guess import Guess, bars, choice, slider

RATES = [0, *(4 ** power for power in range(8))]  # KiB


def explorer(costs):
    """A Guess over the costs of the designs on one trace: which is cheapest at the reader's exchange rate of the prices.

    `costs` is a DataFrame by strategy with `kib` and `visits`; what is not known costs nothing. The slider says how many
    KiB one visit a mapping is worth, from 0, where memory alone counts.
    """
    known = costs[["kib", "visits"]].fillna(0.0)

    def answer(rate):
        prices = known.kib + rate * known.visits
        cheapest = list(prices.index[prices == prices.min()])
        return " and ".join(cheapest), bars(list(prices.items()), "KiB, visits at this rate included", cheapest[0])

    return Guess("Which design is cheapest?", choice("Your guess", list(costs.index)), answer,
                 rate=slider("One visit a mapping is worth (KiB)", RATES, 0))
