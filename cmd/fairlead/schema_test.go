package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"fairlead.dev/conformance"
)

const reportSchema = "../../docs/report.schema.json"

func readSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	var s jsonschema.Schema
	if err := json.Unmarshal(read(t, reportSchema), &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// TestSchemaHasAllFields compares the schema with the type of the report.
func TestSchemaHasAllFields(t *testing.T) {
	root := readSchema(t)
	typed, err := jsonschema.For[conformance.Report](nil)
	if err != nil {
		t.Fatal(err)
	}
	compareSchemas(t, root, "report", root, typed)
	if got := *root.Properties["schema_version"].Const; got != float64(conformance.ReportVersion) {
		t.Errorf("the version of the schema is %v, want %d", got, conformance.ReportVersion)
	}
	var verdicts []any
	for _, v := range conformance.Verdicts() {
		verdicts = append(verdicts, string(v))
	}
	for _, v := range verdicts {
		if all := root.Defs["claim"].Properties["verdict"].Enum; !slices.Contains(all, v) || len(all) != len(verdicts) {
			t.Errorf("the verdicts are %v, want %v", all, verdicts)
		}
	}
}

// compareSchemas compares types, properties and what is required.
func compareSchemas(t *testing.T, root *jsonschema.Schema, path string, got, want *jsonschema.Schema) {
	t.Helper()
	if name, ok := strings.CutPrefix(got.Ref, "#/$defs/"); ok {
		got = root.Defs[name]
	}
	types := func(s *jsonschema.Schema) string {
		all := slices.DeleteFunc(append(slices.Clone(s.Types), s.Type), func(t string) bool { return t == "" })
		slices.Sort(all)
		return strings.Join(all, "|")
	}
	if types(got) != types(want) {
		t.Errorf("%s: the type is %s, want %s", path, types(got), types(want))
	}
	if required := slices.Sorted(slices.Values(got.Required)); !slices.Equal(required, slices.Sorted(slices.Values(want.Required))) {
		t.Errorf("%s: required are %v, want %v", path, required, want.Required)
	}
	for name := range maps.Keys(got.Properties) {
		if want.Properties[name] == nil {
			t.Errorf("%s: the report has no field %s", path, name)
		}
	}
	for name, field := range want.Properties {
		if got.Properties[name] == nil {
			t.Errorf("%s: docs/report.schema.json lacks %s: add it, with a description", path, name)
			continue
		}
		compareSchemas(t, root, path+"."+name, got.Properties[name], field)
	}
	if want.Items != nil {
		compareSchemas(t, root, path+"[]", got.Items, want.Items)
	}
}

// TestReportsFitTheSchema validates reports of runs that pass, fail, decide nothing and
// are interrupted, and one that is damaged.
func TestReportsFitTheSchema(t *testing.T) {
	schema, err := readSchema(t).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	for name, c := range map[string]struct {
		args string
		code int
	}{
		"passed":        {"mem:// --run ^kv/(put-get|kill-ttl)$", exitOK},
		"failed":        {"broken:// --run ^kv/put-get$ --max-rate 1000", exitFailure},
		"could not run": {"mem:// --run ^kv/kill-ttl$ --kill-command false --start-command true", exitUndecided},
		"interrupted":   {"mem:// --facet kv --profile quick", exitUndecided},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		stdout := &cancelAfter{lines: -1, cancel: cancel}
		if name == "interrupted" {
			stdout.lines = 3
		}
		if code := run(ctx, append(strings.Fields("conformance "+c.args), "--json", file), stdout, &errs); code != c.code {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out.String(), errs.String())
		}
		cancel()
		var report map[string]any
		if err := json.Unmarshal(read(t, file), &report); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(report); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if report["interrupted"] == true != (name == "interrupted") {
			t.Errorf("%s: interrupted is %v", name, report["interrupted"])
		}
		report["conclusion"] = "perhaps"
		if schema.Validate(report) == nil {
			t.Errorf("%s: a conclusion that does not exist fits the schema", name)
		}
	}
}
