"""Numbers that the simulator's chains are checked against, in float64.

landscapes     energies on the circle and the torus as graphs, and the critical depth of any of them
fokker_planck  the law of annealed diffusions on a graph: its evolution, relaxation rates, mean exit times
bound          a finite-time bound of the probability to be high up, and the schedule that it recommends
string_method  barriers of energies that no grid can hold
kramers        rates of escape at low temperature
gibbs          masses of exp(-beta U) by importance sampling
"""
