package redis

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fairlead.dev"
)

// The commands that the provider checks are those that the documentation lists,
// except those that a script cannot run.
func TestPermissionsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/providers/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	unchecked := []string{"+config|get", "+eval", "+evalsha", "+multi", "+exec", "+discard"}
	for f, facet := range map[fairlead.Facet]string{"": "every facet", fairlead.KV: "kv, config", fairlead.PubSub: "pubsub", fairlead.RPC: "rpc"} {
		_, row, ok := strings.Cut(string(page), "| "+facet+" | `")
		if !ok {
			t.Fatalf("no row for %s", facet)
		}
		row, _, _ = strings.Cut(row, "`")
		documented := slices.DeleteFunc(strings.Fields(strings.ReplaceAll(row, `\|`, "|")), func(c string) bool { return slices.Contains(unchecked, c) })
		var checked []string
		for line := range strings.SplitSeq(facetCommands[f], ";") {
			checked = append(checked, "+"+strings.Fields(line)[0])
		}
		slices.Sort(documented)
		slices.Sort(checked)
		if !slices.Equal(documented, checked) {
			t.Errorf("%s: documented %q, checked %q", facet, documented, checked)
		}
	}
}

// The commands that the scripts of a facet run are checked, and so documented.
func TestPermissionsOfScriptsAreChecked(t *testing.T) {
	call := regexp.MustCompile(`redis\.p?call\('([A-Za-z]+)'(?:, '([A-Za-z]+)')?`)
	files, err := filepath.Glob("*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range facetsOfScript(file) {
			commands := facetCommands[""] + ";" + facetCommands[f]
			for _, c := range call.FindAllStringSubmatch(string(script), -1) {
				name := strings.ToLower(c[1])
				if name == "xgroup" || name == "xinfo" {
					name += "|" + strings.ToLower(c[2])
				}
				if !slices.ContainsFunc(splitLines(commands), func(line string) bool { return strings.HasPrefix(line, name+" ") || line == name }) {
					t.Errorf("%s runs %s, which is not in facetCommands for %s", file, name, f)
				}
			}
		}
	}
}

// facetsOfScript returns the facets whose permissions a script needs.
func facetsOfScript(file string) []fairlead.Facet {
	for prefix, f := range map[string]fairlead.Facet{"kv_": fairlead.KV, "pubsub_": fairlead.PubSub, "rpc_": fairlead.RPC} {
		if strings.HasPrefix(file, prefix) {
			return []fairlead.Facet{f}
		}
	}
	return []fairlead.Facet{fairlead.KV, fairlead.PubSub}
}
