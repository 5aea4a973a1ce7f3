"""Conditions whose truth is known from gjson itself: document, those that exist in it, those that do not."""

from __future__ import annotations

FRIENDS = """{
  "name": {"first": "Tom", "last": "Anderson"}, "age": 37, "children": ["Sara", "Alex", "Jack"],
  "fav.movie": "Deer Hunter",
  "friends": [
    {"first": "Dale", "last": "Murphy", "age": 44, "nets": ["ig", "fb", "tw"]},
    {"first": "Roger", "last": "Craig", "age": 68, "nets": ["fb", "tw"]},
    {"first": "Jane", "last": "Murphy", "age": 47, "nets": ["ig", "tw"]}]}"""
ANSWER = """{"predictions":[{"label":"dog","score":[0.1,0.9],"p":0.7,"late":true},
{"label":"cat","p":0.2,"late":false}]}"""
V2 = '{"model_name":"late","outputs":[{"name":"late","data":[true]},{"name":"probability","data":[0.77,0.1]}]}'
VALUES = """[{"s":"abc"},{"s":""},{"s":"10"},{"n":10},{"n":9.5},{"n":-3},{"t":true},{"t":false},{"z":null},
{"o":{"x":1}},{"l":[1,2]},{"s":"q\\"q"},{"s":"a b"},{"s":"caf\\u00e9"},{"s":"a*c"},{"s":"a\\\\c"}]"""

CASES: dict[str, tuple[list[str], list[str]]] = {
    FRIENDS: (
        [
            "name.last", "age", "children", "children.0", "children.00", "friends.1.first", "child*.2", "c?ildren.0",
            r"fav\.movie", "friends.#", "friends.#.age", "friends.#.zzz", 'friends.#(last=="Murphy").first',
            'friends.#(last=="X")#', "friends.#(age>45)#.last", 'friends.#(first%"D*").last', "friends.#(first%D*)",
            'children.#(!%"*a*")', 'friends.#(nets.#(=="fb"))#.first', "friends.#(nets)", "friends.#.#",
            "friends.#.nets.7", "@this", "@this.age", "[@this]", "[@this].#", "[@this].0.age", "[@this].#(age==37)",
            '[@this].#(name.first=="Tom")', "[@this].#(friends.#(age>60))", "[@this].#(children.#==3)", "*", "*.first",
            "n*.f*", "name.?irst", 'friends.#(last="Murphy")#.0', 'friends.#(last==Murphy)', "friends.#( age == 44 )",
        ],
        [
            "children.3", "fav.movie", "name.#", "age.#", "age.x", "name.first.x", 'friends.#(last=="X")', "Age",
            'friends.#(nets.#(=="zz"))', "friends.#(zzz)", 'name.#(first=="Tom")', 'name.#(first=="Tom")#', "0",
            "[@this].#(age==38)", "[@this].age", "friends.0.nets.3", "friends.*", "?ge.x", "friends.#(age>45).nets.2",
        ],
    ),
    ANSWER: (
        [
            'predictions.#(label=="dog")', "predictions.#(label==dog)", "predictions.#(p>0.5)", "predictions.#(p>=0.7)",
            "predictions.#(late==true)", "predictions.#(late==false)", "predictions.#(late!=true)",
            "predictions.#(p==0.7)", 'predictions.#(p=="0.7")', "predictions.#(score.#(>0.8))",
            "predictions.#(score.1>0.8)", "predictions.1.late", "predictions.#(p>5)#", "predictions.#.nothing",
            "predictions.#(score)", "predictions.0.score.#", "[@this].#(predictions.0.late==true)",
        ],
        [
            'predictions.#(label=="bird")', "predictions.#(p>0.7)", "predictions.#(late==1)", "predictions.2",
            "predictions.#(score.#(>0.9))", "predictions.label", "predictions.#(nothing!=1)", "instances.#(p>0)",
        ],
    ),
    V2: (
        [
            'outputs.#(name=="probability").data.#(>0.7)', 'outputs.#(name=="late").data.#(==true)',
            'outputs.#(name=="probability").data.0', 'outputs.#(name%"prob*").data.#(<0.2)', "outputs.1.data.#(>=0.77)",
        ],
        ['outputs.#(name=="late").data.#(==false)', 'outputs.#(name=="probability").data.#(>0.8)', "outputs.#(data>0)"],
    ),
    VALUES: (
        [
            '#(s=="abc")', "#(s=abc)", '#(s=="")', '#(s<"b")', '#(s>"abc")', "#(s==10)", '#(s=="10")', '#(s%"a*")',
            '#(s!%"a*")', '#(s%"a?c")', r'#(s%"a\\*c")', r'#(s=="q\"q")', '#(s=="a b")', "#(s==a b)", '#(s=="café")',
            r'#(s=="caf\u00e9")', r'#(s=="a\\c")', "#(n==10.0)", "#(n==1e1)", '#(n>"9")', "#(n>abc)", "#(n<-2)",
            '#(n<"inf")', '#(n>"-1_0")', "#(n>=+9.5)", "#(t=true)", "#(t>false)", "#(t<=x)", "#(t>=x)", "#(z)", "#(o)",
            "#(o.x==1)", "#(o.*==1)", "#(l.#==2)", "#(l.#(>1))", "#(l.0=1)", "#(t!=abc)", "#(zz==1)#", "#(s!=abc)",
        ],
        [
            '#(s=="x")', '#(s%"z*")', "#(n==abc)", '#(n%"1*")', '#(n!%"1*")', '#(n=="nan")', '#(n>"1e400")',
            "#(t>true)", "#(t==1)", "#(t%t*)", "#(t>abc)", "#(z==null)", "#(z!=null)", '#(z=="")', "#(z!=1)",
            "#(o==1)", "#(o!=1)", "#(l==1)", "#(l!=1)", "#(l.#(>5))", "#(o.y!=1)", "#(l.2!=1)",
        ],
    ),
    '{"a":null,"b":false,"c":"","d":0,"e":[],"f":{}}': (
        ["a", "b", "c", "d", "e", "f", "e.#", "e.#.x", "e.#(x==1)#", "[@this].#(b==false)", "[@this].#(d==0)"],
        ["a.x", "f.#", "e.0", "e.#(x==1)", "c.#", "g", "[@this].#(a==null)", "[@this].#(e==0)", "[@this].#(f!=1)"],
    ),
    '{"a1":{"x":1},"a2":{"y":2},"a":5,"a":{"y":3},"b":1,"b":2}': (
        ["a*.y", "a*.x", "*.y", "a.y", "a?", "b", "[@this].#(b==1)"], ["a*.z", "a1.y", "[@this].#(b==2)", "b.y"],
    ),
    r'{"#":7,"@this":8,"a b":1,"a|b":2,"*":3,"?":4,"a\\b":5,"\u0061z":6,"é":7,"a\"q":8,"日本":1,"x":{"":[{"":4}]}}': (
        ["#", r"\#", r"\@this", "a b", r"a\|b", r"\*", r"\?", r"a\\b", "az", "é", r"a\"q", "日?", "?", "x.*.#(==4)"],
        ["b", r"\|", "x.*.#(==5)", "y"],
    ),
    '[{"a":1},{"a":1,"b":2}]': (
        ["#(a==1)#.b", "#(b==2).a", "#(b)", "1.b", "#"], ["#(a==1).b", "#(a==2).b", "2", "a", "*", "0*"],
    ),
    "[1,[2,3],{\"k\":[{\"v\":5}]}]": (
        ["#(#(==3))", "#(#>1)", "#(k.#(v==5))", "2.k.#(v>4).v", "#.k.#(v==6)", "#(0==2)", "#(==1)"],
        ["#(k.#(v==6))", "2.k.#(v>9).v", "#(==2)", "#(#>2)"],
    ),
    '"text"': (["@this", "[@this].#(%\"t*\")", '[@this].#(=="text")'], ["a", "#", "0", '[@this].#(=="x")']),
    "5": (["@this", "[@this].#(==5)", "[@this].#(<=5)"], ["a", "#", "0", "[@this].#(>5)", "[@this].#(x==5)"]),
    "null": (["@this", "[@this].0", "[@this].#"], ["#", "a", "[@this].#(==null)", "[@this].#(!=1)"]),
    '{"a":9007199254740993,"b":1e400,"c":123456789012345678901234567890}': (
        ["[@this].#(a==9007199254740992)", "[@this].#(b>1e300)", "[@this].#(c>1e29)"], ["[@this].#(c>2e29)"],
    ),
}  # fmt: skip
