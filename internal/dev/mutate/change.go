package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// change is a small break of one file, and the test that must fail for it.
type change struct {
	what  string // what is broken, in a line
	file  string
	old   string // occurs once in the file
	new   string
	pkg   string // the package whose test must fail
	run   string // its name
	hangs bool   // the test fails by its time limit only
}

// changes are breaks that somebody could make by mistake. Add one for each fault
// that is mended, and for each that tests had not noticed.
var changes = slices.Concat(portableChanges, kitChanges, providerChanges, pluginChanges)

// broken returns the text of a file with the break.
func (c change) broken() ([]byte, error) {
	text, err := os.ReadFile(c.file)
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), c.old); n != 1 {
		return nil, errors.New("the text to break occurs " + fmt.Sprint(n) + " times in " + c.file + ", want once: correct the list of breaks")
	}
	return []byte(strings.Replace(string(text), c.old, c.new, 1)), nil
}

// selected reports whether a break has one of the words in its description or file.
// Without words, every break is selected.
func (c change) selected(words []string) bool {
	return len(words) == 0 || slices.ContainsFunc(words, func(word string) bool {
		return strings.Contains(c.what, word) || strings.Contains(c.file, word)
	})
}
