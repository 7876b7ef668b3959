package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var ranLine = regexp.MustCompile(`fairlead-provider-ran: (\S+) (\S+) cases=(\d+)`)

type providerTransport struct{ provider, transport string }

// providersRan has the number of cases that each provider ran over each
// transport.
type providersRan map[providerTransport]int

// addLine counts the cases that a line of a test's output reports.
func (r providersRan) addLine(line string) {
	m := ranLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	n, err := strconv.Atoi(m[3])
	if err != nil {
		return // more digits than an int holds: no run has so many cases
	}
	r[providerTransport{m[1], m[2]}] += n
}

// cases is the number of cases that a provider ran, over all transports.
func (r providersRan) cases(provider string) int {
	n := 0
	for k, v := range r {
		if k.provider == provider {
			n += v
		}
	}
	return n
}

func (r providersRan) String() string {
	if len(r) == 0 {
		return "none"
	}
	keys := slices.SortedFunc(maps.Keys(r), func(a, b providerTransport) int {
		return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.transport, b.transport))
	})
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%s %s (%d cases)", k.provider, k.transport, r[k]))
	}
	return strings.Join(parts, ", ")
}
