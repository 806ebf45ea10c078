"""The explorer of notebook 05: how many vmas of a shared address_space a lookup visits."""

from .guess import Guess, bars, choice, number, slider


def explorer(searches):
    """A Guess over sweeps of `shared_space`: visits a mapping, by processes, areas and index.

    `searches` is a DataFrame with the columns `processes`, `areas`, `index` and `visits_per_mapping`; the sliders begin
    at the largest family with the most areas.
    """
    visits = searches.set_index(["processes", "areas", "index"]).visits_per_mapping.to_dict()
    indexes = list(dict.fromkeys(searches["index"]))

    def answer(processes, areas, index):
        shown = [(each, visits[processes, areas, each]) for each in indexes] + [("truth", 1.0)]
        return visits[processes, areas, index], bars(shown, "visits a mapping", index)

    processes, areas = (sorted(set(searches[column].tolist())) for column in ("processes", "areas"))
    return Guess("How many vmas does a lookup visit for each mapping that it finds?", number("Your guess", 1e9), answer,
                 processes=slider("Processes in the family", processes, processes[-1]),
                 areas=slider("Areas in each process", areas, areas[-1]),
                 index=choice("How the vmas are kept", indexes))
