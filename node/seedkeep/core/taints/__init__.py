"""Taints (decision 8): signed orders that data must be removed, withheld or warned of.

* :mod:`~seedkeep.core.taints.body`: what curators sign: subject, effect, category, reason, and how it ends;
* :mod:`~seedkeep.core.taints.entry`: one line of a published list, and the list;
* :mod:`~seedkeep.core.taints.head`: the signed note that commits to a list;
* :mod:`~seedkeep.core.taints.trusted`: what a client trusts of one registrar, rule by rule;
* :mod:`~seedkeep.core.taints.authorities`: whose entries bind whom;
* :mod:`~seedkeep.core.taints.denylist`: the same for other software.
"""
