package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"fairlead.dev/conformance"
	"fairlead.dev/internal/regularfile"
)

// knownFormat shows the format of the file of --known.
const knownFormat = `  - case: kv/put-get
    reason: "values with a zero byte are cut: issue 12"
    until: 2027-01-31`

// maxKnownFile is the longest file of --known, in bytes.
const maxKnownFile = 1 << 20

// knownFailure is an entry of the file of --known.
type knownFailure struct {
	line         int
	name, reason string
	lastDay      string    // as it is in the file
	end          time.Time // when the entry no longer counts: after the last day, in UTC
}

// readKnown reads the file of --known, if there is one. The error names each field that
// is wrong.
func readKnown(path string) ([]knownFailure, error) {
	if path == "" {
		return nil, nil
	}
	text, err := regularfile.Read(path, maxKnownFile)
	if err != nil {
		return nil, fmt.Errorf("--known: %w", err)
	}
	list, err := parseKnown(text)
	if err != nil {
		return nil, fmt.Errorf("--known: %s is not a list of known failures:\n%w\nthe format is YAML, for example:\n%s", path, err, knownFormat)
	}
	return list, nil
}

// parseKnown parses the text of a file of known failures.
func parseKnown(text []byte) ([]knownFailure, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one document; put all entries in one list")
	}
	root := document.Content[0]
	switch {
	case root.Tag == "!!null":
		return nil, nil
	case root.Kind != yaml.SequenceNode:
		return nil, fmt.Errorf("line %d: the file is no list; begin each entry with \"- case:\"", root.Line)
	}
	return parseKnownList(root)
}

func parseKnownList(root *yaml.Node) ([]knownFailure, error) {
	var list []knownFailure
	var problems []error
	lines := map[string]int{}
	for _, node := range root.Content {
		entry, bad := parseKnownEntry(node)
		problems = append(problems, bad...)
		if line := lines[entry.name]; line > 0 && entry.name != "" {
			problems = append(problems, fmt.Errorf("line %d: case: %s is in the entry of line %d already; remove one", entry.line, entry.name, line))
		}
		lines[entry.name] = entry.line
		list = append(list, entry)
	}
	return list, errors.Join(problems...)
}

// knownFields are the fields of an entry. An entry has a case or a rule, and the others.
var knownFields = []string{"case", "rule", "reason", "until"}

// parseKnownEntry returns an entry, and an error for each field that is wrong.
func parseKnownEntry(node *yaml.Node) (knownFailure, []error) {
	entry := knownFailure{line: node.Line}
	if node.Kind != yaml.MappingNode {
		return entry, []error{fmt.Errorf("line %d: the entry is no group of fields; it has the fields case or rule, reason and until", node.Line)}
	}
	var problems []error
	given := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		err := entry.set(key.Value, value)
		if given[key.Value] {
			err = errors.New("the entry has it twice; remove one")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("line %d: %s: %w", key.Line, key.Value, err))
		}
		given[key.Value] = true
	}
	if given["rule"] {
		if given["case"] {
			problems = append(problems, fmt.Errorf("line %d: rule: the entry has a case, too; remove one of them", node.Line))
		}
		given["case"] = true
	}
	for _, field := range []string{"case", "reason", "until"} {
		if !given[field] {
			problems = append(problems, fmt.Errorf("line %d: %s: the entry lacks it", node.Line, field))
		}
	}
	return entry, problems
}

// set sets a field.
func (k *knownFailure) set(field string, value *yaml.Node) error {
	if !slices.Contains(knownFields, field) {
		return fmt.Errorf("unknown field; accepted: %s", strings.Join(knownFields, ", "))
	}
	if value.Kind != yaml.ScalarNode || value.Tag == "!!null" || strings.TrimSpace(value.Value) == "" {
		return errors.New("it is no text; give one value")
	}
	switch field {
	case "case":
		return k.setCase(value.Value)
	case "rule":
		return k.setRule(value.Value)
	case "until":
		return k.setUntil(value.Value)
	}
	k.reason = value.Value
	return nil
}

func (k *knownFailure) setCase(name string) error {
	k.name = name
	if !slices.ContainsFunc(conformance.Cases(), func(c conformance.Case) bool { return c.Name == name }) {
		return fmt.Errorf("no case has the name %q; similar names: %s", name, strings.Join(similarCases(name), ", "))
	}
	return nil
}

// setRule sets the case that tests a rule.
func (k *knownFailure) setRule(id string) error {
	var ids []string
	for _, r := range conformance.Rules() {
		if r.ID == id {
			k.name = r.Case
			return nil
		}
		ids = append(ids, r.ID)
	}
	return fmt.Errorf("no rule has the identifier %q; similar ones: %s", id, strings.Join(mostSimilar(id, ids), ", "))
}

func (k *knownFailure) setUntil(date string) error {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return fmt.Errorf("%q is no date; give the last day on which the failure counts as known, for example 2027-01-31", date)
	}
	k.lastDay, k.end = date, day.AddDate(0, 0, 1)
	return nil
}

// splitKnown returns the reasons of the entries that count now, and a line for each
// that no longer does.
func splitKnown(list []knownFailure, now time.Time) (reasons map[string]string, expired []string) {
	reasons = map[string]string{}
	for _, k := range list {
		if now.Before(k.end) {
			reasons[k.name] = fmt.Sprintf("%s (known until %s)", k.reason, k.lastDay)
			continue
		}
		expired = append(expired, fmt.Sprintf("%s was a known failure until %s (%s): if it fails now, the run fails; mend it, or give a later date in line %d", k.name, k.lastDay, k.reason, k.line))
	}
	return reasons, expired
}
