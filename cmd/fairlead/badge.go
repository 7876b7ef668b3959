package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"fairlead.dev/conformance"
)

// badge is what a badge says, and its colour.
type badge struct {
	text   string
	colour string // behind the text, which is white
}

// The colours of badges. White text on each of them has at least the contrast that
// WCAG 2.2 demands on level AA, 4.5 to 1.
const (
	labelColour = "#333333"
	greenColour = "#1a7f37" // every rule of the claims was tried, and held
	blueColour  = "#0969da" // all that were tried held
	redColour   = "#b91c1c"
	greyColour  = "#57606a"
	textColour  = "#ffffff"
)

const badgeLabel = "fairlead"

// newBadge says in a few words what a report shows.
func newBadge(r *conformance.Report) badge {
	switch r.Conclusion {
	case conformance.Conforms:
		return conformingBadge(r)
	case conformance.DoesNotConform:
		return brokenBadge(r)
	}
	return badge{string(r.Conclusion), greyColour}
}

func conformingBadge(r *conformance.Report) badge {
	held, all := countHeldRules(r)
	what := fmt.Sprintf("%d of %d rules of %d claims", held, all, countClaims(r))
	if known := r.Count(conformance.KnownFails); known > 0 {
		what += fmt.Sprintf(", %d known to fail", known)
	}
	if held < all {
		return badge{"conforms in what was run: " + what, blueColour}
	}
	return badge{"conforms: " + what, greenColour}
}

// brokenBadge counts the broken rules, and says the worst that they do.
func brokenBadge(r *conformance.Report) badge {
	broken, worst := 0, len(conformance.Harms())
	for _, rule := range compareRules([]*conformance.Report{r}) {
		if rule.state(0) != ruleBroken {
			continue
		}
		broken++
		if i := slices.Index(conformance.Harms(), rule.harm); i >= 0 {
			worst = min(worst, i)
		}
	}
	text := string(conformance.DoesNotConform)
	if broken > 0 {
		text += fmt.Sprintf(": rules broken: %d", broken)
	}
	if worst < len(conformance.Harms()) {
		text += fmt.Sprintf(" (%s)", conformance.Harms()[worst])
	}
	return badge{text, redColour}
}

// countHeldRules returns how many rules belong to the claims that were judged, and how
// many of them held. A rule of several claims counts once.
func countHeldRules(r *conformance.Report) (held, all int) {
	states := map[string]ruleState{}
	for _, rule := range compareRules([]*conformance.Report{r}) {
		states[rule.id] = rule.state(0)
	}
	for _, rule := range conformance.Rules() {
		judged := slices.ContainsFunc(r.Claims, func(c conformance.ClaimResult) bool { return c.Facet == rule.Facet })
		if !judged || len(rule.Claims) == 0 || !doesApply(r, rule.Facet, rule.Claims) {
			continue
		}
		all++
		if states[rule.ID] == ruleHeld {
			held++
		}
	}
	return held, all
}

// countClaims returns how many claims were judged that the provider makes, in all
// facets.
func countClaims(r *conformance.Report) (n int) {
	for _, c := range r.Claims {
		if c.Verdict != conformance.NotClaimed {
			n++
		}
	}
	return n
}

// badgeTemplate is a badge of two fields. It needs no font and no network. textLength
// makes each text as long as its field is wide, whatever font there is.
var badgeTemplate = template.Must(template.New("badge").Parse(`<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="20" viewBox="0 0 {{.Width}} 20" role="img" aria-label="{{.Alternative | html}}">
<title>{{.Alternative | html}}</title>
<rect width="{{.Split}}" height="20" fill="{{.LabelColour}}"/>
<rect x="{{.Split}}" width="{{.Rest}}" height="20" fill="{{.Colour}}"/>
<g fill="{{.TextColour}}" font-family="Verdana, DejaVu Sans, Geneva, sans-serif" font-size="11" aria-hidden="true">
<text x="6" y="14" textLength="{{.LabelLength}}">{{.Label | html}}</text>
<text x="{{.TextAt}}" y="14" textLength="{{.TextLength}}">{{.Text | html}}</text>
</g>
</svg>
`))

// badgePadding is the space on each side of a text, in pixels.
const badgePadding = 6

// badgeSVG draws the report's badge.
func badgeSVG(r *conformance.Report) ([]byte, error) {
	b := newBadge(r)
	label, text := textWidth(badgeLabel), textWidth(b.text)
	split := label + 2*badgePadding
	rest := text + 2*badgePadding
	backend := strings.TrimSpace(r.Provider + " " + r.Description.Version)
	var out bytes.Buffer
	err := badgeTemplate.Execute(&out, map[string]any{
		"Alternative": fmt.Sprintf("%s, conformance of %s: %s; %s", badgeLabel, backend, b.text, r.Started.UTC().Format("2006-01-02")),
		"Width":       split + rest, "Split": split, "Rest": rest,
		"LabelColour": labelColour, "Colour": b.colour, "TextColour": textColour,
		"Label": badgeLabel, "LabelLength": label,
		"Text": b.text, "TextAt": split + badgePadding, "TextLength": text,
	})
	return out.Bytes(), err
}

// textWidth estimates how wide a text is in Verdana of 11 pixels.
func textWidth(s string) int {
	width := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("ijl.,:;|!'()[] ", r):
			width += 4.2
		case strings.ContainsRune("frt-", r):
			width += 4.8
		case strings.ContainsRune("mwMW", r):
			width += 10
		default:
			width += 6.9
		}
	}
	return int(width + 0.5)
}
