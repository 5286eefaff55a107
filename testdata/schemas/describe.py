#!/usr/bin/env python3
"""describe.py FILE.ovsschema > FILE.columns: the columns of an OVSDB schema, one a line, for the tests of agent/ovsdb."""
import json
import os
import sys


def base(kind):
    return kind if isinstance(kind, str) else kind["type"]


path = sys.argv[1]
schema = json.load(open(path, encoding="utf-8"))
label = os.path.basename(path).removesuffix(".ovsschema")
print(f"# Columns of {schema['name']} {schema['version']} ({label}), one a line: table, column, type of the elements (of keys and values for a map), how many.")
print("# Made from the schema file by testdata/schemas/describe.py.")
for table, description in sorted(schema["tables"].items()):
    for column, about in sorted(description["columns"].items()):
        kind = about["type"] if isinstance(about["type"], dict) else {"key": about["type"]}
        elements = base(kind["key"]) + (":" + base(kind["value"]) if "value" in kind else "")
        most = kind.get("max", 1)
        print(table, column, elements, f"{kind.get('min', 1)}..{'*' if most == 'unlimited' else most}")
