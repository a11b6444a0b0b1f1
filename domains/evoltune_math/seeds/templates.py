"""Templates of the shipped grade-school seeds: one line each, `skill | text | numbers | steps`.

`numbers` are ranges (`a=2..30`) or choices (`p=10,20,50`); `steps` are binary operations on them, on literals and
on earlier results (`$1`): `a*b; $1+c`. `{n}` and `{m}` are people, `{he} {his} {him}` agree with `{n}`, `{o}` is a
thing that can be counted. Invariant: no template here occurs in `heldout_templates.py` (tests/evoltune_math/test_seeds.py).

    evoltune_math.seeds.generate.problems(SEED_TEMPLATES, ...)
"""

SEED_TEMPLATES = """
addition | {n} has {a} {o}. {m} gives {him} {b} more. How many {o} does {n} have now? | a=2..20 b=2..12 | a+b
addition | There are {a} {o} on one table and {b} on another. How many {o} are there altogether? | a=3..20 b=2..12 | a+b
addition | {n} read {a} pages on Monday, {b} pages on Tuesday and {c} pages on Wednesday. How many pages did {he} read in all? | a=2..15 b=2..12 c=2..9 | a+b; $1+c
addition | A farmer picked {a} baskets of plums before lunch. After lunch he picked {b} more than that. How many baskets did he pick after lunch? | a=3..20 b=2..12 | a+b
addition | A choir has {a} singers. This month {b} adults and {c} children joined. How many singers are in the choir now? | a=2..15 b=2..12 c=2..9 | a+b; $1+c
addition | {n} counted {a} red cars. {m} counted {b} more red cars than {n}. How many red cars did the two of them count together? | a=2..15 b=2..12 | a+b; a+$1
addition | {n} scored {a} goals in spring and {b} goals in autumn. How many goals did {he} score this year? | a=2..20 b=2..12 | a+b
addition | A jar holds {a} green sweets and {b} yellow sweets. What is the total number of sweets in the jar? | a=2..20 b=2..12 | a+b
addition | {n} walked {a} miles in the morning and another {b} miles in the evening. How many miles has {he} walked? | a=2..15 b=2..12 | a+b
addition | The blue shelf has {a} books. The brown shelf has {b} books more. How many books does the brown shelf have? | a=3..20 b=2..12 | a+b
addition | In a pet shop there are {a} cats, {b} dogs and {c} rabbits. How many pets does the shop have? | a=2..12 b=2..12 c=2..9 | a+b; $1+c
addition | {n} lost {a} {o} and still has {b}. How many {o} did {he} have at first? | a=2..15 b=2..12 | a+b
age | {n} is {a} years old. {m} is {b} years older. How old is {m}? | a=3..20 b=2..12 | a+b
age | {n} is {a} years old. How old will {he} be in {b} years? | a=3..20 b=2..12 | a+b
age | {n} has a son of {a} years and is {k} times that old. What age is {n}? | a=3..9 k=2..6 | k*a
age | {m} is {a} years old and {n} is half that age. How old will {n} be in {b} years? | a=6..40 b=2..15 | a/2; $1+b
age | When {n} was {a} years old, {his} sister was born. How old was {n} when the sister was {b}? | a=2..12 b=2..12 | a+b
age | {n} is {a}, and {his} mother is {k} times as old. How old is the mother? | a=4..9 k=3..6 | k*a
average | {n} got {a}, {b} and {c} points in three games. What was {his} average score? | a=2..15 b=2..12 c=2..9 | a+b; $1+c; $2/3
average | Two boxes weigh {a} and {b} pounds. What is their average weight in pounds? | a=2..15 b=2..12 | a+b; $1/2
average | {n} ran {a} miles in {b} days. How many miles a day is that on average? | a=6..48 b=2..9 | a/b
average | {n} ate {a} nuts over {b} days. How many nuts did {he} eat per day on average? | a=6..48 b=2..9 | a/b
average | Three trees are {a}, {b} and {c} feet tall. Find their mean height. | a=2..15 b=2..12 c=2..9 | a+b; $1+c; $2/3
combination | {n} has {a} marbles. {m} has {b} more than {n} and gives {c} of them away. How many marbles does {m} have now? | a=2..15 b=2..12 c=2..9 | a+b; $1-c
combination | {n} packs {a} bags with {b} {o} each. {m} packs {c} bags with {d} {o} each. How many {o} did they pack? | a=2..9 b=2..9 c=2..9 d=2..9 | a*b; c*d; $1+$2
combination | A baker makes {a} rolls each morning for {b} mornings and sells {c} of them. How many rolls are left? | a=3..9 b=2..7 c=2..9 | a*b; $1-c
combination | {n} had {a} {o}, got {b} from {m} and put all of them on {c} shelves equally. How many {o} are on each shelf? | a=2..15 b=2..12 c=2..8 | a+b; $1/c
combination | A bus carries {a} people. At the first stop {b} leave, at the second stop {c} leave and {d} get on. How many people are on the bus? | a=6..24 b=2..8 c=2..6 d=2..6 | a-b; $1-c; $2+d
combination | {n} buys {a} packs of {b} cards. {He} gives {c} cards to {m} and {d} cards to {his} sister. How many cards are left? | a=3..9 b=3..9 c=2..9 d=2..9 | a*b; $1-c; $2-d
combination | {n} finds {a} {o}, {m} finds {b}, and together they give {c} to a friend. How many {o} do they keep? | a=2..15 b=2..12 c=2..9 | a+b; $1-c
combination | {n} has {a} boxes of {b} eggs. {He} sells {c} eggs and eats {d}. How many eggs are left? | a=2..9 b=4..9 c=2..6 d=2..5 | a*b; $1-c; $2-d
combination | {n} buys {a} bags of {b} nuts and {c} bags of {d} nuts. How many nuts does {he} buy altogether? | a=2..6 b=2..6 c=2..6 d=2..6 | a*b; c*d; $1+$2
comparison | {n} has {a} {o} and {m} has {b} {o}. How many more {o} does {n} have than {m}? | a=6..20 b=2..9 | a-b
comparison | A blue ribbon is {a} inches long. A green ribbon is {b} inches shorter. How long is the green ribbon? | a=6..20 b=2..9 | a-b
comparison | The oak is {a} feet tall and the pine is {b} feet taller than the oak. How tall is the pine? | a=3..20 b=2..12 | a+b
comparison | {n} has {k} times as many {o} as {m}. {m} has {a} {o}. How many {o} does {n} have? | a=3..9 k=2..9 | k*a
comparison | {n} scored {a} points. {m} scored {k} times as many. How many points did they score together? | a=3..9 k=2..6 | k*a; a+$1
comparison | {m} caught {a} fish. {n} caught {b} fewer fish than {m}. How many fish did both catch together? | a=6..24 b=2..8 | a-b; a+$1
comparison | {n} weighs {a} kilos and {his} dog weighs {b} kilos. How much heavier is {n}? | a=6..20 b=2..9 | a-b
comparison | A bike goes {a} miles an hour, a horse {b}. By how many miles an hour is the bike faster? | a=6..20 b=2..9 | a-b
comparison | {n} has {a} {o}, which is {b} fewer than {m} has. How many {o} does {m} have? | a=3..20 b=2..12 | a+b
comparison | {n} jumped {a} times, {b} times more than {m}. How often did {m} jump? | a=6..20 b=2..9 | a-b
comparison | The north tower has {a} steps. The south tower has {k} times that many. How many steps does the south tower have? | a=2..9 k=2..6 | a*k
comparison | {m} has {a} {o}. {n} has {b} fewer. How many {o} do they have in all? | a=6..20 b=2..7 | a-b; a+$1
comparison | {n} sang {a} songs and {m} sang {b} songs more. How many songs were sung by the two? | a=2..12 b=2..9 | a+b; a+$1
division | {n} shares {a} {o} equally among {b} friends. How many {o} does each friend get? | a=6..48 b=2..9 | a/b
division | {a} eggs are put into cartons of {b}. How many cartons are filled? | a=6..48 b=3..9 | a/b
division | {n} has {a} {o}. {He} keeps {b} and splits the rest evenly between {c} cousins. How many {o} does each cousin get? | a=6..24 b=2..8 c=2..9 | a-b; $1/c
division | {n} and {m} together picked {a} and {b} apples. They pack all of them into bags of {c}. How many bags do they need? | a=2..15 b=2..12 c=2..9 | a+b; $1/c
division | A coach buys {a} packs of {b} balls and divides them equally among {c} teams. How many balls does each team get? | a=3..9 b=3..9 c=2..9 | a*b; $1/c
division | A film of {a} metres is cut into pieces of {b} metres. How many pieces are there? | a=6..48 b=3..9 | a/b
division | {a} pupils stand in lines of {b}. How many lines are there? | a=6..48 b=2..9 | a/b
division | A grandfather gives {a} dollars to {b} children in equal parts. What is the part of each child? | a=6..48 b=2..9 | a/b
division | A ribbon of {a} inches is cut into {b} equal pieces. How long is each piece? | a=6..48 b=2..9 | a/b
division | {n} puts {a} {o} into bags with {b} in each. How many bags does {he} fill? | a=6..48 b=2..9 | a/b
division | A cook peels {a} carrots, throws {b} away and puts the others into bowls of {c}. How many bowls are there? | a=6..24 b=2..8 c=2..6 | a-b; $1/c
division | {n} has {a} sheets with {b} stickers. {He} needs {c} stickers for each card. How many cards can {he} make? | a=2..9 b=2..9 c=2..6 | a*b; $1/c
fraction | {n} has {a} {o}. Half of them are new. How many {o} are new? | a=6..48 | a/2
fraction | A pizza shop made {a} pizzas. One {third} of them had mushrooms. How many pizzas had mushrooms? | a=12..60 k=3..6 | a/k
fraction | {n} had ${a} and spent one {third} of it. How many dollars did {he} have left? | a=12..60 k=3..6 | a/k; a-$1
fraction | {n} ate half as many grapes as {m}. {m} ate {a} grapes. How many grapes did they eat together? | a=6..48 | a/2; a+$1
fraction | One {third} of the {a} seats in a bus are taken. How many seats are taken? | a=6..45 k=3..5 | a/k
fraction | A bag has {a} balls and one {third} of the balls are red. How many balls are not red? | a=6..45 k=3..5 | a/k; a-$1
fraction | A bottle holds {a} cups and is half full. How many cups are in the bottle? | a=6..48 | a/2
geometry | A rectangle is {a} cm long and {b} cm wide. What is its area in square cm? | a=3..9 b=2..9 | a*b
geometry | A square has a side of {a} metres. What is its perimeter in metres? | a=3..25 | a*4
geometry | A field is {a} metres long and {b} metres wide. How many metres of fence go around it? | a=2..15 b=2..12 | a+b; $1*2
geometry | Each side of a square tile is {a} inches. How many inches is it around the tile? | a=3..20 | a*4
geometry | A wall is {a} yards by {b} yards. How many square yards is that? | a=2..12 b=2..9 | a*b
leftover | {n} bakes {a} muffins. {He} fills {b} boxes with {c} muffins each. How many muffins are left over? | a=10..40 b=2..5 c=2..6 | b*c; a-$1
leftover | There are {a} {o} in a crate. {b} children take {c} each. How many {o} stay in the crate? | a=10..40 b=2..5 c=2..6 | b*c; a-$1
leftover | {n} had {a} stamps. {He} lost {b} stamps and then bought {c} new ones. How many stamps does {he} have now? | a=6..24 b=2..8 c=2..6 | a-b; $1+c
leftover | A library had {a} books on a shelf. {b} books were borrowed and {c} were returned. How many books are on the shelf now? | a=6..24 b=2..8 c=2..6 | a-b; $1+c
leftover | {n} has {a} flowers and puts {c} flowers into each of {b} vases. How many flowers are not in a vase? | a=10..40 b=2..5 c=2..6 | b*c; a-$1
leftover | A field had {a} sheep. {b} ran away and later {c} came home. How many sheep are in the field at the end? | a=6..24 b=2..8 c=2..6 | a-b; $1+c
money | A pen costs ${a}. How many dollars do {b} pens cost? | a=2..9 b=2..9 | a*b
money | {n} has ${a}. {He} buys a hat for ${b}. How many dollars does {he} have left? | a=6..20 b=2..9 | a-b
money | {n} buys {a} notebooks at ${b} each and pays with ${c}. How many dollars of change does {he} get? | a=2..8 b=2..9 c=30,40,50,60 | a*b; c-$1
money | {n} buys a shirt for ${a} and {b} pairs of socks for ${c} each. How much does {he} spend? | a=2..12 b=2..6 c=2..9 | b*c; a+$1
money | {n} saves ${a} every week. How many weeks does {he} need to save ${b}? | a=2..9 b=6..48 | b/a
money | A lamp costs ${a}. Today it is ${b} cheaper. How many dollars do {c} lamps cost today? | a=6..24 b=2..8 c=2..6 | a-b; $1*c
money | {n} sells {a} cakes for ${b} each and {c} pies for ${d} each. How many dollars does {he} earn? | a=2..9 b=3..9 c=2..9 d=3..9 | a*b; c*d; $1+$2
money | {a} tickets cost ${b} in all. How many dollars does one ticket cost? | a=2..9 b=6..48 | b/a
money | {n} earned ${a} and spent ${b} on lunch and ${c} on a book. How many dollars are left? | a=6..24 b=2..8 c=2..6 | a-b; $1-c
money | Rice is sold at ${a} a kilo. What is the price of {b} kilos? | a=2..9 b=2..9 | a*b
money | {b} dollars were paid for {a} equal books. How many dollars did each book cost? | a=2..9 b=6..48 | b/a
money | {n} wants a game for ${a} and has saved ${b}. How many dollars does {he} still need? | a=6..20 b=2..9 | a-b
money | {n} pays ${a} for the bus and buys {b} sandwiches for ${c} each. How many dollars does {he} pay in total? | a=2..12 b=2..8 c=2..8 | b*c; a+$1
money | The entry to a park is ${a} and each game costs ${b}. {n} plays {c} games. What does {he} pay in dollars? | a=2..12 b=2..8 c=2..8 | b*c; a+$1
money | {n} buys {a} plants, each for ${b}, and gives the seller ${c}. How much money does {he} get back? | a=2..6 b=2..6 c=20,30,40,50 | a*b; c-$1
multiplication | {n} buys {a} boxes with {b} {o} in each box. How many {o} is that? | a=2..9 b=2..9 | a*b
multiplication | A garden has {a} rows of tulips. Each row has {b} tulips. How many tulips grow in the garden? | a=2..9 b=2..9 | a*b
multiplication | Every day {n} does {a} push-ups. How many push-ups does {he} do in {b} days? | a=3..9 b=2..9 | a*b
multiplication | A spider has 8 legs. How many legs do {a} spiders have? | a=3..12 | a*8
multiplication | {n} has {a} bags of {b} {o} and finds {c} more. How many {o} does {he} have in total? | a=2..9 b=2..9 c=2..12 | a*b; $1+c
multiplication | A school has {a} classes. Each class has {b} tables and each table has {c} chairs. How many chairs are there? | a=2..8 b=3..9 c=2..5 | a*b; $1*c
multiplication | A theatre has {a} rows of {b} seats. Tonight {c} seats are empty. How many seats are taken? | a=3..9 b=3..9 c=2..9 | a*b; $1-c
multiplication | On every branch sit {a} birds. How many birds sit on {b} branches? | a=2..9 b=2..9 | a*b
multiplication | {a} children hold {b} balloons each. How many balloons are there? | a=2..9 b=2..9 | a*b
multiplication | One box has {a} pencils. How many pencils are in {b} such boxes? | a=2..9 b=2..9 | a*b
multiplication | {n} draws {a} pictures a week. How many pictures has {he} drawn after {b} weeks? | a=2..9 b=2..9 | a*b
multiplication | A hotel has {a} floors with {b} rooms on each floor. A fire closes {c} rooms. How many rooms can be used? | a=3..9 b=3..9 c=2..8 | a*b; $1-c
multiplication | There are {a} cages with {b} birds in every cage, and {c} birds fly free. How many birds are there in all? | a=2..9 b=2..9 c=2..12 | a*b; $1+c
percentage | What is {p} percent of {a}? | p=10,20,50 a=20..60 | p*a; $1/100
percentage | A class has {a} pupils. {p}% of them walk to school. How many pupils walk to school? | a=20..60 p=10,20,50 | a*p; $1/100
percentage | A coat costs ${a}. It is sold at {p}% off. How many dollars is the discount? | a=20..60 p=10,20,50 | a*p; $1/100
percentage | {n} had {a} {o} and sold {p}% of them. How many {o} does {he} still have? | a=20..60 p=10,20,50 | a*p; $1/100; a-$2
percentage | {p} percent of {a} lamps are on. How many lamps are on? | p=10,20,50 a=10..60 | p*a; $1/100
rate | A car goes {a} miles in one hour. How many miles does it go in {b} hours? | a=3..9 b=2..9 | a*b
rate | A printer prints {a} pages in {b} minutes. How many pages does it print in one minute? | a=6..48 b=2..9 | a/b
rate | {n} types {a} words a minute. How many minutes does {he} need for {b} words? | a=3..9 b=6..48 | b/a
rate | {n} earns ${a} an hour. {He} works {b} hours on Friday and {c} hours on Saturday. How many dollars does {he} earn? | a=3..9 b=2..8 c=2..8 | b+c; a*$1
rate | A machine makes {a} toys an hour and works {b} hours a day. How many toys does it make in {c} days? | a=3..9 b=2..8 c=2..6 | a*b; $1*c
rate | A train covers {a} miles in {b} hours. At that speed, how many miles does it cover in {c} hours? | a=6..48 b=2..6 c=2..9 | a/b; $1*c
rate | A tank holds {a} litres. A tap fills {b} litres every minute. How many minutes does it take to fill the tank? | a=6..48 b=3..9 | a/b
rate | A worm moves {a} inches per hour. How far does it move in {b} hours? | a=2..9 b=2..9 | a*b
rate | In {b} hours a baker makes {a} cakes. How many cakes does he make per hour? | a=6..48 b=2..9 | a/b
rate | A hose gives {a} litres of water in {b} minutes. How many litres is that per minute? | a=6..48 b=2..9 | a/b
rate | {n} paints {a} doors a day. {He} paints for {b} days in May and {c} days in June. How many doors does {he} paint? | a=2..6 b=2..6 c=2..6 | b+c; a*$1
rate | A ship sails {a} miles per hour. How many miles does it sail in {b} hours? | a=3..12 b=2..9 | a*b
ratio | For every {a} cups of flour a recipe takes {b} cups of milk. {n} uses {k} times the recipe. How many cups of flour and milk does {he} use together? | a=2..6 b=2..6 k=2..8 | a+b; $1*k
ratio | {a} apples cost ${b}. How many dollars do {k} times as many apples cost? | a=2..9 b=2..9 k=2..9 | b*k
subtraction | {n} has {a} {o} and gives {b} of them to {m}. How many {o} does {n} have left? | a=6..20 b=2..9 | a-b
subtraction | There were {a} people on a bus. At the stop {b} people got off. How many people are still on the bus? | a=6..20 b=2..9 | a-b
subtraction | A jug holds {a} cups of juice. The children drink {b} cups at noon and {c} cups in the evening. How many cups remain? | a=6..24 b=2..8 c=2..6 | a-b; $1-c
subtraction | {n} needs {a} {o} for a project. {He} already has {b}. How many more {o} does {he} need? | a=6..20 b=2..9 | a-b
subtraction | A rope is {a} feet long. {n} cuts off a piece of {b} feet. How long is the rest of the rope? | a=6..20 b=2..9 | a-b
subtraction | A shop opened with {a} loaves of bread. By closing time there were {b} loaves. How many loaves were sold? | a=6..20 b=2..9 | a-b
subtraction | Of {a} eggs in a basket, {b} broke. How many eggs were not broken? | a=6..20 b=2..9 | a-b
subtraction | {n} wants to read {a} pages and has read {b} so far. How many pages does {he} still have to read? | a=6..20 b=2..9 | a-b
subtraction | Out of {a} invited guests, {b} stayed at home. How many guests came? | a=6..20 b=2..9 | a-b
subtraction | {n} had {a} {o}. After giving some to {m}, {he} has {b}. How many {o} did {he} give away? | a=6..20 b=2..9 | a-b
subtraction | The journey is {a} kilometres and {n} has already gone {b} kilometres. How many kilometres are left? | a=6..20 b=2..9 | a-b
subtraction | A pack had {a} batteries. {n} used {b} in May and {c} in June. How many batteries are in the pack now? | a=6..24 b=2..7 c=2..6 | a-b; $1-c
subtraction | {n} was paid for {a} hours but worked only {b} hours. How many hours were paid too much? | a=6..20 b=2..9 | a-b
time | A lesson lasts {a} minutes. How many minutes do {b} lessons last? | a=3..9 b=2..8 | a*b
time | A show starts after {a} minutes of adverts and runs {b} minutes. How many minutes is that in total? | a=3..20 b=2..12 | a+b
time | {n} practises {a} minutes a day. How many hours does {he} practise in {b} days? | a=20,30,40,45,60 b=2..9 | a*b; $1/60
time | How many days are there in {a} weeks and {b} days? | a=2..9 b=2..6 | a*7; $1+b
time | A cake needs {a} minutes in the oven. It has been in for {b} minutes. How many more minutes does it need? | a=6..20 b=2..9 | a-b
time | After a bath of {a} minutes came a rest of {b} minutes. How long did both take? | a=3..20 b=2..12 | a+b
time | One ride takes {a} minutes. How many minutes do {b} rides take? | a=3..10 b=2..9 | a*b
"""
