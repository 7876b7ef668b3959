package main

import (
	"cmp"
	"slices"
	"strings"

	"fairlead.dev/conformance"
)

// similarShown is how many similar names are shown.
const similarShown = 5

// similarCases returns the names of cases that are most similar to a pattern, the most
// similar one first.
func similarCases(pattern string) []string {
	var names []string
	for _, c := range conformance.Cases() {
		names = append(names, c.Name)
	}
	return mostSimilar(pattern, names)
}

// mostSimilar returns the first of the names, sorted by their similarity to a text.
func mostSimilar(text string, names []string) []string {
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Compare(similarity(text, b), similarity(text, a))
	})
	return names[:min(similarShown, len(names))]
}

// similarity is the share of pairs of neighbouring letters that two texts have in
// common: the coefficient of Dice.
func similarity(a, b string) float64 {
	left, right := letterPairs(a), letterPairs(b)
	common := 0
	for pair, n := range left {
		common += min(n, right[pair])
	}
	return 2 * float64(common) / float64(max(1, len(a)+len(b)-2))
}

func letterPairs(s string) map[string]int {
	s = strings.ToLower(s)
	pairs := map[string]int{}
	for i := range max(0, len(s)-1) {
		pairs[s[i:i+2]]++
	}
	return pairs
}
