"""Published evaluation protocols, run with the analysers on a data set in its own layout."""
