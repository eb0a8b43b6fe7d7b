"""The author's numbers, typed in from the saved outputs of the analysis notebook in the public repository
farischaudhry/pinn-width-vs-nonlinearity (commit 9a01400), and what follows from them by ordinary least squares.

Used to compare with, never to compute anything else. `kdv_published` is the author's KdV problem; the linear control
has no kappa, written 1. Seeds 1 to 5 in every cell; the errors of single seeds are not public.
"""

from io import StringIO

import pandas as pd

WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
"""Hidden widths N of the saved tables."""


def _read(text: str) -> pd.DataFrame:
    return pd.read_csv(StringIO(text), sep=r"\s+")


def errors(pde: str, activation: str) -> pd.DataFrame:
    """Columns width, kappa, err and std: relative L2 error after 25 000 steps (last iterate), mean and sample standard
    deviation (ddof 1) over 5 seeds. 8 rows for `poisson`, 56 for the others. It is a table for `fit_scaling`.

    ValueError for a problem or activation that was not published.
    """
    tables = []
    for name, table in (("err", _MEAN), ("std", _STD)):
        rows = table[(table.pde == pde) & (table.activation == activation)]
        if rows.empty:
            known = sorted(set(_MEAN.pde + " " + _MEAN.activation))
            raise ValueError(f"no published errors of {pde!r} with {activation!r}: choose one of {', '.join(known)}")
        tables.append(rows.set_index("kappa")[list(map(str, WIDTHS))].stack().rename(name))
    both = pd.concat(tables, axis=1).rename_axis(["kappa", "width"]).reset_index()
    return both.assign(width=both.width.astype(int))[["width", "kappa", "err", "std"]]


_MEAN = _read("""
pde           activation kappa 16 32 64 128 256 512 1024 2048
poisson       tanh      1 0.008395 0.005414 0.003520 0.018862 0.021841 0.001257 0.009244 0.005162
poisson       relu      1 1.008477 0.968291 1.085828 1.049375 1.001312 0.993439 1.022038 0.966518
sine_gordon   tanh   0.25 0.000210 0.000469 0.000979 0.000403 0.001502 0.001023 0.001779 0.002827
sine_gordon   tanh    0.5 0.000249 0.000471 0.000762 0.001221 0.000990 0.003492 0.002708 0.000931
sine_gordon   tanh      1 0.000331 0.000378 0.000198 0.000869 0.000537 0.000817 0.001243 0.002890
sine_gordon   tanh      2 0.000139 0.000352 0.000476 0.000333 0.001560 0.000741 0.001995 0.001495
sine_gordon   tanh      4 0.000287 0.000827 0.000389 0.001082 0.000472 0.001258 0.001934 0.000678
sine_gordon   tanh      8 0.422152 0.306894 0.222950 0.401078 0.517861 0.326502 0.002657 0.004054
sine_gordon   tanh     16 0.714046 0.668002 0.639041 0.650928 0.675617 0.628462 0.606651 0.598209
sine_gordon   relu   0.25 0.040782 0.078139 0.141043 0.223042 0.191869 0.205281 0.293818 0.304818
sine_gordon   relu    0.5 0.055267 0.073144 0.090804 0.164032 0.239660 0.279669 0.291406 0.364287
sine_gordon   relu      1 0.054797 0.080648 0.083555 0.127776 0.195249 0.270564 0.340685 0.413079
sine_gordon   relu      2 0.049484 0.087937 0.057746 0.131477 0.213371 0.278232 0.389480 0.483086
sine_gordon   relu      4 0.081877 0.099044 0.120399 0.179268 0.219055 0.288248 0.418416 0.535570
sine_gordon   relu      8 0.232597 0.295253 0.229838 0.228505 0.304300 0.299913 0.481291 0.548413
sine_gordon   relu     16 0.774464 0.760067 0.491556 0.372641 0.519047 0.355397 0.551657 0.854627
allen_cahn    tanh      4 0.000326 0.000597 0.001643 0.002807 0.002200 0.003213 0.001852 0.000636
allen_cahn    tanh      8 0.000950 0.000374 0.001549 0.002576 0.002229 0.003078 0.001391 0.000332
allen_cahn    tanh     16 0.000820 0.000811 0.001125 0.000952 0.001983 0.000939 0.000737 0.000442
allen_cahn    tanh     32 0.000575 0.000797 0.000960 0.001300 0.002570 0.003348 0.002167 0.000532
allen_cahn    tanh     64 0.000475 0.000863 0.001226 0.001515 0.002208 0.001585 0.000770 0.000449
allen_cahn    tanh    128 0.001200 0.000668 0.000789 0.000915 0.002523 0.001215 0.001153 0.000388
allen_cahn    tanh    256 0.001492 0.001022 0.001263 0.001335 0.002244 0.000906 0.001773 0.000337
allen_cahn    relu      4 0.099052 0.115493 0.113535 0.136925 0.126293 0.129218 0.165604 0.302897
allen_cahn    relu      8 0.066712 0.081144 0.079190 0.100612 0.088155 0.091497 0.153540 0.187825
allen_cahn    relu     16 0.044586 0.052936 0.051089 0.072454 0.058036 0.061272 0.106404 0.147395
allen_cahn    relu     32 0.029283 0.029086 0.030401 0.035999 0.031535 0.046446 0.105955 0.125483
allen_cahn    relu     64 0.019079 0.011549 0.013186 0.018904 0.023644 0.036453 0.114021 0.259536
allen_cahn    relu    128 0.018100 0.006607 0.009142 0.014769 0.018643 0.029193 0.090981 0.169276
allen_cahn    relu    256 0.017446 0.006895 0.012169 0.014637 0.018308 0.033196 0.118334 0.178041
kdv_published tanh   0.25 0.409404 0.404407 0.405109 0.406958 0.406768 0.401217 0.421878 0.394843
kdv_published tanh    0.5 0.691023 0.699420 0.697307 0.693876 0.698075 0.714733 0.693132 0.691101
kdv_published tanh      1 0.993671 0.981252 0.987523 0.986742 0.985401 0.985145 0.985332 0.986552
kdv_published tanh      2 1.180957 1.148406 1.148333 1.159070 1.160379 1.155817 1.148829 1.151944
kdv_published tanh      4 1.106659 1.096451 1.095001 1.075252 1.051282 1.044696 1.081635 1.094507
kdv_published tanh      8 1.006408 0.999804 0.998511 1.004854 1.009538 1.011765 1.021776 1.038250
kdv_published tanh     16 0.977143 0.977615 0.972804 0.970233 0.969704 0.966115 0.963384 0.961464
kdv_published relu   0.25 0.387480 0.392324 0.397602 0.654891 0.669206 0.723516 0.690657 0.718166
kdv_published relu    0.5 0.463356 0.422543 0.394432 0.405183 0.457126 0.676697 0.683101 0.728710
kdv_published relu      1 0.690803 0.659593 0.550314 0.576844 0.643582 0.641355 1.296948 0.768509
kdv_published relu      2 0.901128 0.870778 0.798712 0.816810 0.797248 0.840136 0.833956 1.097547
kdv_published relu      4 0.964887 0.952324 0.953932 0.953973 0.936209 0.950177 0.972912 0.957513
kdv_published relu      8 0.981265 0.983918 0.984962 0.983382 0.978442 0.984059 0.969772 0.974335
kdv_published relu     16 0.989969 0.993105 0.989581 0.985679 0.983197 0.986277 0.981686 0.980880
""")

_STD = _read("""
pde           activation kappa 16 32 64 128 256 512 1024 2048
poisson       tanh      1 0.007074 0.006875 0.005807 0.039963 0.038137 0.002355 0.013795 0.005298
poisson       relu      1 0.478939 0.360757 0.330510 0.342188 0.217588 0.118061 0.153340 0.133517
sine_gordon   tanh   0.25 0.000227 0.000430 0.001174 0.000255 0.001680 0.000684 0.001630 0.001795
sine_gordon   tanh    0.5 0.000188 0.000433 0.000816 0.001271 0.000681 0.002259 0.002272 0.000516
sine_gordon   tanh      1 0.000417 0.000440 0.000072 0.001209 0.000764 0.000720 0.001424 0.003426
sine_gordon   tanh      2 0.000094 0.000209 0.000290 0.000313 0.000482 0.000606 0.001988 0.001297
sine_gordon   tanh      4 0.000219 0.000298 0.000127 0.000876 0.000322 0.001307 0.002369 0.000308
sine_gordon   tanh      8 0.135063 0.082068 0.011332 0.111907 0.007130 0.284202 0.002271 0.003661
sine_gordon   tanh     16 0.028083 0.033309 0.082111 0.035593 0.002609 0.039304 0.028017 0.011318
sine_gordon   relu   0.25 0.008230 0.024374 0.047456 0.089687 0.090512 0.128426 0.089624 0.121512
sine_gordon   relu    0.5 0.019200 0.032586 0.040409 0.056833 0.137081 0.167497 0.079146 0.109192
sine_gordon   relu      1 0.006714 0.025299 0.046473 0.054908 0.102109 0.107507 0.118775 0.143416
sine_gordon   relu      2 0.023327 0.044832 0.027918 0.038847 0.057020 0.061804 0.103236 0.035907
sine_gordon   relu      4 0.023198 0.027849 0.033076 0.070916 0.115789 0.042821 0.082671 0.066214
sine_gordon   relu      8 0.075193 0.218699 0.046796 0.097770 0.161143 0.163807 0.105052 0.226056
sine_gordon   relu     16 0.217555 0.233871 0.276374 0.197155 0.115108 0.263459 0.173373 0.345915
allen_cahn    tanh      4 0.000101 0.000243 0.002295 0.002207 0.001233 0.002872 0.002232 0.000446
allen_cahn    tanh      8 0.001183 0.000211 0.001340 0.001235 0.001566 0.001728 0.002211 0.000241
allen_cahn    tanh     16 0.000477 0.000143 0.000669 0.001389 0.002364 0.000641 0.001009 0.000431
allen_cahn    tanh     32 0.000610 0.000434 0.000964 0.001252 0.002194 0.005234 0.001502 0.000479
allen_cahn    tanh     64 0.000229 0.000348 0.000987 0.001380 0.003837 0.001444 0.000636 0.000428
allen_cahn    tanh    128 0.001030 0.000382 0.000404 0.000806 0.002596 0.000769 0.001351 0.000323
allen_cahn    tanh    256 0.000814 0.000825 0.000600 0.001116 0.001678 0.000921 0.002525 0.000134
allen_cahn    relu      4 0.022821 0.014719 0.006998 0.021313 0.008497 0.010148 0.076751 0.308936
allen_cahn    relu      8 0.019905 0.011286 0.009985 0.025882 0.007775 0.009446 0.087880 0.110884
allen_cahn    relu     16 0.014417 0.004934 0.008437 0.034233 0.002100 0.006596 0.066197 0.091729
allen_cahn    relu     32 0.002065 0.000986 0.004071 0.012594 0.002897 0.015630 0.102676 0.046186
allen_cahn    relu     64 0.014162 0.001043 0.002115 0.010798 0.005245 0.018628 0.106159 0.207095
allen_cahn    relu    128 0.017058 0.003505 0.002349 0.015051 0.012615 0.009333 0.036318 0.084788
allen_cahn    relu    256 0.016640 0.004244 0.004212 0.013237 0.009755 0.010283 0.026168 0.091805
kdv_published tanh   0.25 0.010266 0.003185 0.002457 0.005118 0.014711 0.003941 0.039130 0.004075
kdv_published tanh    0.5 0.005142 0.004351 0.003995 0.005152 0.007860 0.043676 0.008036 0.010926
kdv_published tanh      1 0.008052 0.008385 0.004008 0.005277 0.002317 0.002411 0.003589 0.014812
kdv_published tanh      2 0.030200 0.005265 0.008615 0.006168 0.002789 0.006276 0.006233 0.008835
kdv_published tanh      4 0.016177 0.013889 0.004107 0.011180 0.006514 0.013027 0.038153 0.021784
kdv_published tanh      8 0.014256 0.004090 0.005313 0.008061 0.005479 0.002987 0.008285 0.011624
kdv_published tanh     16 0.001659 0.003188 0.003389 0.001992 0.003257 0.002686 0.001468 0.001945
kdv_published relu   0.25 0.162154 0.174124 0.148541 0.231336 0.173426 0.344343 0.051350 0.123945
kdv_published relu    0.5 0.024243 0.026484 0.082058 0.058471 0.090476 0.205591 0.113919 0.237085
kdv_published relu      1 0.080593 0.089427 0.049321 0.050583 0.138444 0.044228 0.637007 0.287585
kdv_published relu      2 0.048812 0.064161 0.059463 0.034404 0.027366 0.078191 0.084952 0.531340
kdv_published relu      4 0.014959 0.020943 0.013097 0.010899 0.007602 0.026197 0.079186 0.031844
kdv_published relu      8 0.010739 0.011968 0.002123 0.002331 0.003965 0.010910 0.003679 0.006363
kdv_published relu     16 0.001460 0.002450 0.001573 0.002462 0.003389 0.001439 0.003501 0.006531
""")

SEPARABLE = _read("""
pde           activation        alpha     alpha_se        gamma     gamma_se        log_A       adj_r2          aic
sine_gordon   tanh    -0.142475     0.168983      1.51379     0.193595     -7.29502     0.521129      239.938
sine_gordon   relu     -0.32038    0.0357177      0.27782    0.0409197     -3.39601     0.693684      65.8724
allen_cahn    tanh   -0.0164022    0.0542424   -0.0343094    0.0621425     -6.78062   -0.0300347      112.668
allen_cahn    relu    -0.367603    0.0423016     -0.43683    0.0484626     -3.36465     0.737801      84.8207
kdv_published tanh  0.000911188     0.020231     0.177496    0.0231775    -0.271358     0.507383      2.20843
kdv_published relu   -0.0540301    0.0153489      0.17028    0.0175844    -0.659812     0.654442     -28.7226
""")
"""log err = log A - alpha log N + gamma log kappa on the 56 means (natural logarithms; the author's intervals are
+- 1.96 standard errors), AIC = 2 coefficients - 2 log likelihood. Equal to the notebook's printed digits.
"""

INTERACTION = _read("""
pde           activation          b_N      b_kappa     b_Nkappa  b_Nkappa_se            p       adj_r2          aic
sine_gordon   tanh     0.296113      2.66607    -0.221653     0.119162    0.0685308      0.54237       238.33
sine_gordon   relu     0.382019     0.740107   -0.0889252    0.0229024  0.000293048     0.757965      53.6158
allen_cahn    tanh     0.212424     0.259723   -0.0565599    0.0387156     0.150057  -0.00845276      112.416
allen_cahn    relu   -0.0483383     -1.06074     0.120015    0.0259235   2.4797e-05     0.810759      67.4933
kdv_published tanh -0.000905461     0.177539 -8.26102e-06    0.0147332     0.999555     0.497909      4.20843
kdv_published relu    0.0827698     0.385828   -0.0414627   0.00958563  6.91914e-05      0.74099     -43.9338
""")
"""log err = b_0 + b_N log N + b_kappa log kappa + b_Nkappa log N log kappa; p of b_Nkappa = 0."""

ALPHA = _read("""
pde           activation   kappa        alpha           se    theil_sen
poisson       tanh      1    0.0630632     0.220182    0.0558447
poisson       relu      1   0.00585717   0.00918087    0.0100734
sine_gordon   tanh   0.25    -0.451917    0.0957949    -0.485318
sine_gordon   tanh    0.5     -0.38359     0.134964    -0.501253
sine_gordon   tanh      1    -0.427501     0.103362    -0.455385
sine_gordon   tanh      2    -0.483882     0.103869    -0.495059
sine_gordon   tanh      4    -0.222533     0.124604    -0.186652
sine_gordon   tanh      8     0.942323     0.357308     0.460771
sine_gordon   tanh     16    0.0297743    0.0070709    0.0291296
sine_gordon   relu   0.25     -0.37232     0.069591    -0.337838
sine_gordon   relu    0.5    -0.409891    0.0391278      -0.3993
sine_gordon   relu      1    -0.434412    0.0228846    -0.430883
sine_gordon   relu      2    -0.491069    0.0533858    -0.469766
sine_gordon   relu      4    -0.397958    0.0135226    -0.395378
sine_gordon   relu      8    -0.163712     0.045162    -0.175811
sine_gordon   relu     16    0.0266999     0.079139    0.0306245
allen_cahn    tanh      4    -0.207937     0.182322    -0.266558
allen_cahn    tanh      8   -0.0192986     0.203183    -0.110059
allen_cahn    tanh     16    0.0792234    0.0960604    0.0572584
allen_cahn    tanh     32    -0.152621     0.155538     -0.33597
allen_cahn    tanh     64  -0.00314284     0.138961   -0.0743688
allen_cahn    tanh    128    0.0492036     0.129024    0.0030113
allen_cahn    tanh    256     0.139757     0.125808    0.0868329
allen_cahn    relu      4    -0.170608    0.0458581    -0.123185
allen_cahn    relu      8    -0.184386    0.0386556    -0.199014
allen_cahn    relu     16     -0.20926    0.0478668    -0.217778
allen_cahn    relu     32    -0.305525    0.0707913    -0.243939
allen_cahn    relu     64    -0.566694     0.128072    -0.504347
allen_cahn    relu    128    -0.557808     0.138451      -0.5693
allen_cahn    relu    256    -0.578938     0.135878    -0.578096
kdv_published tanh   0.25   0.00122725   0.00450213   0.00286904
kdv_published tanh    0.5 -0.000613461   0.00262503  0.000720791
kdv_published tanh      1  0.000655688  0.000802045   0.00053126
kdv_published tanh      2   0.00260477   0.00198437   0.00212582
kdv_published tanh      4   0.00530616   0.00452069   0.00656939
kdv_published tanh      8  -0.00637095   0.00167374  -0.00638057
kdv_published tanh     16   0.00356887  0.000243035   0.00341131
kdv_published relu   0.25    -0.153968    0.0326263    -0.133073
kdv_published relu    0.5    -0.125569    0.0351704    -0.107843
kdv_published relu      1   -0.0806479     0.055386   -0.0707744
kdv_published relu      2   -0.0221852    0.0235173  -0.00433342
kdv_published relu      4 -0.000388339   0.00270481 -0.000571567
kdv_published relu      8   0.00222943  0.000987061   0.00216947
kdv_published relu     16   0.00231764  0.000466777    0.0022821
""")
"""err = A N^-alpha at fixed kappa, least squares on the logarithm of 8 means. Theil-Sen slopes are ours."""

POISSON_RELU_LOSS = (0.4998871, 0.499998, 0.4999985, 0.5, 0.5, 0.5, 0.5, 0.5)
"""Mean training loss of the linear control with ReLU at the last step, for each of `WIDTHS`."""

KDV_TRUTH_DISTANCE = {0.25: 0.4205, 0.5: 0.7276, 1.0: 1.0219, 2.0: 1.1910, 4.0: 1.0833}
"""kappa -> relative L2 distance of the author's "ground truth" of KdV from a spectral solution of the author's problem
(ours, integrating-factor Runge-Kutta with 1024 modes, on the author's 31 x 31 test grid).
"""
