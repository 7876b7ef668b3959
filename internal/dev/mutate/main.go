// Command mutate makes small breaks in the code, each by itself, and runs for each
// the test that must fail. It prints the breaks that no test noticed. The go command
// reads the broken file in place of the true one, which is not changed.
//
// "make mutate" runs it, and so writes docs/breaks.md. Arguments are words: only
// breaks that have one of them in their description or file are made, and the page
// stays as it is.
package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// atOnce is how many breaks are tried at once.
const atOnce = 2

func main() {
	words := os.Args[1:]
	var all []change
	for _, c := range changes {
		if c.selected(words) {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		fmt.Fprintf(os.Stderr, "no break has one of the words %q in its description or file\n", words)
		os.Exit(2)
	}
	verdicts := tryAll(all)
	if len(words) == 0 {
		if err := os.WriteFile(pageFile, []byte(formatPage(all, verdicts, time.Now())), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	bad := 0
	for i, v := range verdicts {
		if !v.good() {
			bad++
			fmt.Printf("\n%s: %s (%s)", v, all[i].what, all[i].file)
		}
	}
	fmt.Printf("\n%d of %d breaks were caught\n", len(all)-bad, len(all))
	if bad > 0 {
		os.Exit(1)
	}
}

// tryAll tries the breaks, and prints each verdict when it is known.
func tryAll(all []change) []verdict {
	verdicts := make([]verdict, len(all))
	j := newJudge(all)
	var print sync.Mutex
	var workers sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		workers.Go(func() {
			for i := range next {
				began := time.Now()
				v, details := j.try(all[i])
				verdicts[i] = v
				print.Lock()
				fmt.Printf("%-16s %4.0fs  %s (%s)\n", v, time.Since(began).Seconds(), all[i].what, all[i].file)
				if v == unclear || v == hangs {
					fmt.Println(details)
				}
				print.Unlock()
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	workers.Wait()
	return verdicts
}
