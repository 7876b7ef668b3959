// Command fairlead-memory is the provider memory as a plugin; see fairlead.dev/plugins.
package main

import (
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/memory"
)

func main() { plugins.Main("memory") }
