"""`verify`: whether journal, levels, statuses, dead letters and state of a system agree. Contract section 10,
invariants 2, 3 and 7.

Pure modules take records and facts and give findings; `partition` alone reads. What is checked is listed in
`findings.Check`.
"""
