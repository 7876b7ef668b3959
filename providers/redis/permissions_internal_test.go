package redis

import (
	"os"
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
