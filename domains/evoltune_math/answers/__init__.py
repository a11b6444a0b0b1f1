"""Answers: how they are read and compared.

    syntax/    text -> tokens -> expression tree (`nodes`)
    algebra/   exact and numeric values of trees, normal forms, intervals, matrices
    reading/   text -> an answer of one of the `kinds`
    equality/  whether two answers are the same, under a `policy`

Each folder imports only itself, those above it and the modules beside it.
"""
