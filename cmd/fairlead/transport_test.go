package main

import "testing"

// TestTransportOfURL: the scheme of a URL has no case.
func TestTransportOfURL(t *testing.T) {
	for url, want := range map[string]string{
		"mem://":                       direct,
		"MEM://":                       direct,
		"Redis://127.0.0.1:1":          direct,
		"plugin+mem://":                process,
		"PLUGIN+mem://":                process,
		"sidecar+unix:///run/f.sock":   sidecar,
		"SIDECAR+TCP://127.0.0.1:1234": sidecar,
		"other://":                     process,
	} {
		if got := transportOfURL(url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}
