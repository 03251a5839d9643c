# Fills in the answers of `repro prelaunch --write-answers`, for the tutorial.
s/^  question: ""/  question: "does PPO learn the dot from 80 comparisons?"/
s/^  outcomes: ""/  outcomes: "0.9 or more: 80 comparisons suffice on this task; less: too few, so take 700 and more steps"/
s/^  cheaper: ""/  cheaper: "the two runs on tuning seeds; they cannot say how seeds differ"/
s/^surprise: ""/surprise: "very"  # by any other cause than this one/
s/^causes: \[\]/causes:\
  - cause: "80 labels and 8,192 steps are too few"\
    response: accepted\
    reason: "to see what is said of a claim that does not hold"/
/^# causes:/,/^#     reason/d
s/^failure_probability:/failure_probability: 0.95/
