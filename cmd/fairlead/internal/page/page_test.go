package page

import (
	"context"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"fairlead.dev/conformance"
	"fairlead.dev/conformance/mutants"
	"fairlead.dev/internal/dev/check"
)

// reportOf runs some cases over a broken provider.
func reportOf(t *testing.T, mutant, pattern string) *conformance.Report {
	t.Helper()
	all := mutants.All()
	i := slices.IndexFunc(all, func(m mutants.Mutant) bool { return m.Name == mutant })
	if i < 0 {
		t.Fatalf("no mutant %q", mutant)
	}
	r, err := conformance.Run(t.Context(), all[i].Open, conformance.WithMatch(regexp.MustCompile(pattern)), conformance.WithPatience(time.Second))
	check.NoError(t, err)
	return r
}

func draw(t *testing.T, r *conformance.Report) string {
	t.Helper()
	b, err := Draw(r, Run{Command: "fairlead conformance x://<y>", Repeat: func(r conformance.Result) string { return "repeat " + r.Case }})
	check.NoError(t, err)
	return string(b)
}

// TestPageNamesTheFault: the broken rule comes first, with its harm, what was seen, the
// calls before it, and the command that repeats it.
func TestPageNamesTheFault(t *testing.T) {
	text := draw(t, reportOf(t, "kv-cas-ignored", "^kv/(cas-stale|put-get)$"))
	for _, part := range []string{
		"Does not conform", "KV-CAS-6 (data lost): broken is", "Do not keep data there that must not be lost", "What was seen", "kv.Do cas", "repeat kv/cas-stale",
		"x://&lt;y&gt;",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if todo, details := strings.Index(text, "KV-CAS-6 (data lost)"), strings.Index(text, "What was seen"); todo > details {
		t.Error("what to do does not come first")
	}
}

// TestPageStandsAlone: the page loads nothing, runs no script, and its links lead to
// elements of it.
func TestPageStandsAlone(t *testing.T) {
	text := draw(t, reportOf(t, "kv-cas-ignored", "^kv/"))
	ids, links := map[string]bool{}, []string{}
	for z := html.NewTokenizer(strings.NewReader(text)); z.Err() != io.EOF; z.Next() {
		token := z.Token()
		if slices.Contains([]string{"script", "link", "img", "iframe", "object", "base"}, token.Data) && token.Type == html.StartTagToken {
			t.Errorf("the page has an element %s", token.Data)
		}
		for _, a := range token.Attr {
			switch a.Key {
			case "id":
				if ids[a.Val] {
					t.Errorf("two elements have the id %s", a.Val)
				}
				ids[a.Val] = true
			case "href":
				links = append(links, a.Val)
			case "src", "srcset", "onclick":
				t.Errorf("an element has %s=%q", a.Key, a.Val)
			}
		}
	}
	for _, l := range links {
		if !strings.HasPrefix(l, "#") || !ids[l[1:]] {
			t.Errorf("the link %s leads nowhere", l)
		}
	}
	if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style loads something")
	}
}

// TestPageOfARun: a page that is drawn before the run ends says so, and loads itself
// again.
func TestPageOfARun(t *testing.T) {
	var b []byte
	observer := conformance.Observer{Planned: func(p conformance.Plan) {
		var err error
		b, err = Draw(p.Report(), Run{Refresh: true, Repeat: func(conformance.Result) string { return "" }})
		check.NoError(t, err)
	}}
	_, err := conformance.Run(context.Background(), mutants.All()[0].Open, conformance.WithCases("kv/put-get"), conformance.WithObserver(observer))
	check.NoError(t, err)
	for _, part := range []string{"The run goes on", `http-equiv="refresh"`, "not run yet"} {
		if !strings.Contains(string(b), part) {
			t.Errorf("the page lacks %q", part)
		}
	}
}
