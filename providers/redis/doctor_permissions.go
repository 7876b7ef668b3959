package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/providers"
)

//go:embed doctor_permissions.lua
var doctorPermissionsLua string

// sentCommands are the commands that the provider sends itself, for every facet, in
// addition to facetCommands.
const sentCommands = `eval return 0; evalsha ffffffffffffffffffffffffffffffffffffffff 0`

// optionalCommands are commands that the provider can do without, each with what is
// lost then. docs/providers/redis.md lists them.
var optionalCommands = []struct {
	names []string
	facet fairlead.Facet // that needs it; empty for all
	lost  string
}{
	{[]string{"config|get"}, "", "durability cannot be verified; assert-durable=true takes the operator's word"},
	{[]string{"multi", "exec", "discard"}, fairlead.PubSub, "several messages of one call are stored by a script instead of a transaction"},
	{[]string{"scan"}, "", "the conformance suite cannot remove what it leaves beside stores and topics, which stays for a day at most"},
}

// unseenCommands says why not all that is missing can be named.
const unseenCommands = "the server lets this user run neither MULTI nor EVAL: it cannot be seen which other commands and keys it denies; the command below grants all that are needed"

// access is what a server lets the user do.
type access struct {
	denied map[string]bool // by command, as in an ACL rule without the plus
	noKey  bool            // some command may not use the keys of the provider
	unseen bool            // not all commands could be tried
}

// checkPermissionsOfUser finds out all that the user may not do, without doing it. In a
// cluster, the user lacks what it lacks on one of the servers.
func (i *inspection) checkPermissionsOfUser(ctx context.Context) []providers.Finding {
	var mu sync.Mutex
	var asked bool
	all := access{denied: map[string]bool{}}
	ask := func(ctx context.Context, node *goredis.Client) ([]providers.Finding, error) {
		a, err := i.accessOn(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		maps.Copy(all.denied, a.denied)
		asked, all.noKey, all.unseen = true, all.noKey || a.noKey, all.unseen || a.unseen
		return nil, err
	}
	failed := i.onEach(ctx, ask)
	if !asked { // the user may not ask for the servers of the cluster
		failed = i.askHosts(ctx, ask)
	}
	if !asked {
		return failed
	}
	return append(failed, i.permissionFindings(all)...)
}

// askHosts calls ask with a client of each host of the URL.
func (i *inspection) askHosts(ctx context.Context, ask func(context.Context, *goredis.Client) ([]providers.Finding, error)) (failed []providers.Finding) {
	for _, host := range i.config.hosts {
		c := i.config
		c.mode, c.hosts = standalone, []string{host}
		client := goredis.NewClient(c.clientOptions(1, c.readTimeout, func() {}).Simple())
		if _, err := ask(ctx, client); err != nil {
			failed = append(failed, deniedOrProblem(err)...)
		}
		_ = client.Close()
	}
	return failed
}

// accessOn asks one server. Commands that could write are only queued in a transaction
// that is never executed, or run by a script that may not write.
func (i *inspection) accessOn(ctx context.Context, node *goredis.Client) (access, error) {
	o := *node.Options()
	o.PoolSize = 1
	own := goredis.NewClient(&o) // a connection that is not used again: it ends within a transaction
	defer func() { _ = own.Close() }()
	conn := own.Conn()
	defer func() { _ = conn.Close() }()
	a := access{denied: map[string]bool{}}
	direct := []string{"info server", "config|get appendonly", "exec", "discard", "scan 0 count 1", "multi"}
	if i.config.mode == cluster {
		direct = slices.Insert(direct, 0, "cluster|slots")
	}
	direct = slices.Concat(splitLines(sentCommands), direct)
	for _, line := range direct {
		if err := conn.Do(ctx, arguments(line, "")...).Err(); err != nil && !isErrorReply(err) && !errors.Is(err, goredis.Nil) {
			return a, err
		} else if err != nil {
			a.learn(line, err.Error())
		}
	}
	key := i.prefix + ":kv:{" + i.trial.Name + "}:permissions"
	switch {
	case !a.denied["multi"]:
		return a, a.tryQueued(ctx, conn, key)
	case !a.denied["eval"] && !a.denied["evalsha"]:
		return a, a.tryInScript(ctx, conn, key)
	}
	a.unseen = true
	return a, nil
}

// tryQueued queues the commands of all facets in a transaction, for which the server
// checks the permissions of each.
func (a *access) tryQueued(ctx context.Context, conn *goredis.Conn, key string) error {
	for _, line := range facetLines() {
		err := conn.Do(ctx, arguments(line, key)...).Err()
		if err != nil && !isErrorReply(err) {
			return err
		} else if err != nil {
			a.learn(line, err.Error())
		}
	}
	return nil
}

// tryInScript lets a script without the right to write run the commands of all facets.
func (a *access) tryInScript(ctx context.Context, conn *goredis.Conn, key string) error {
	lines := facetLines()
	args := []any{"eval", doctorPermissionsLua, 0, key}
	for _, line := range lines {
		args = append(args, line)
	}
	answers, err := conn.Do(ctx, args...).Slice()
	if err != nil {
		return err
	}
	for i, answer := range answers {
		a.learn(lines[i], asText(answer))
	}
	return nil
}

// learn takes over what the server says of a command.
func (a *access) learn(line, answer string) {
	name, _, _ := strings.Cut(line, " ")
	switch {
	case strings.Contains(answer, "no permissions to run"), strings.Contains(answer, "can't run this command"):
		a.denied[name] = true
	case strings.Contains(answer, "permissions to access"), strings.Contains(answer, "can't access at least one of the keys"):
		a.noKey = true
	}
}

// arguments returns a command of facetCommands; $ is the key.
func arguments(line, key string) (args []any) {
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '|' }) {
		if word == "$" {
			word = key
		}
		args = append(args, word)
	}
	return args
}

func splitLines(commands string) (lines []string) {
	for line := range strings.SplitSeq(commands, ";") {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// facetLines returns the commands of all facets, each once.
func facetLines() (lines []string) {
	for _, commands := range facetCommands {
		lines = append(lines, splitLines(commands)...)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// neededBy returns the names of the commands that a facet needs; the empty facet stands
// for all.
func (i *inspection) neededBy(f fairlead.Facet) (names []string) {
	lines := splitLines(facetCommands[f])
	if f == "" {
		lines = append(lines, splitLines(sentCommands)...)
		if i.config.mode == cluster {
			lines = append(lines, "cluster|slots")
		}
	}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return names
}

var facetTitles = []struct {
	facet fairlead.Facet
	title string
}{{"", "every facet"}, {fairlead.KV, "kv, config"}, {fairlead.PubSub, "pubsub"}, {fairlead.RPC, "rpc"}}

// permissionFindings returns one finding for each facet that has all it needs, one with
// all that is missing and the command that grants it, and one with what is optional.
func (i *inspection) permissionFindings(a access) (found []providers.Finding) {
	var missing, grants []string
	for _, t := range facetTitles {
		if t.facet != "" && !i.trial.Wants(t.facet) {
			continue
		}
		needed := i.neededBy(t.facet)
		denied := keepDenied(needed, a)
		if len(denied) > 0 {
			missing, grants = append(missing, t.title+": the user lacks "+strings.Join(denied, " ")), append(grants, denied...)
		}
		if a.unseen {
			grants = append(grants, withPlus(needed)...)
		} else if len(denied) == 0 {
			found = append(found, providers.Finding{Status: providers.CheckOK, Subject: t.title, Seen: fmt.Sprintf("all %d commands are allowed", len(needed))})
		}
	}
	keys := "~" + escapePattern(i.prefix) + ":*"
	switch {
	case a.unseen:
		missing, grants = append(missing, unseenCommands), append(grants, keys)
	case a.noKey:
		missing, grants = append(missing, "the user may not read and write the keys "+keys), append(grants, keys)
	}
	if len(missing) > 0 {
		found = append(found, providers.Finding{Status: providers.CheckProblem, Seen: strings.Join(missing, "\n"),
			Fix: i.grantFix(), Command: i.grantCommand(grants)})
	}
	return append(found, i.optionalFindings(a)...)
}

func keepDenied(names []string, a access) (denied []string) {
	for _, name := range names {
		if a.denied[name] {
			denied = append(denied, "+"+name)
		}
	}
	slices.Sort(denied)
	return slices.Compact(denied)
}

func withPlus(names []string) (rules []string) {
	for _, name := range names {
		rules = append(rules, "+"+name)
	}
	return rules
}

func (i *inspection) optionalFindings(a access) []providers.Finding {
	var lost, grants []string
	for _, o := range optionalCommands {
		denied := keepDenied(o.names, a)
		if len(denied) == 0 || o.facet != "" && !i.trial.Wants(o.facet) || o.names[0] == "config|get" && i.config.assertDurable {
			continue
		}
		lost, grants = append(lost, "without "+strings.Join(denied, " ")+", "+o.lost), append(grants, denied...)
	}
	if len(lost) == 0 {
		return nil
	}
	return []providers.Finding{{Status: providers.CheckWarning, Subject: "optional", Seen: strings.Join(lost, "\n"), Fix: i.grantFix(), Command: i.grantCommand(grants)}}
}

func (i *inspection) grantFix() string {
	where := "run this"
	if i.config.mode != standalone {
		where = "run this on every server"
	}
	return where + " as an administrator, and keep it with ACL SAVE or in redis.conf:"
}

// grantCommand returns the command that grants rules to the user.
func (i *inspection) grantCommand(rules []string) string {
	slices.Sort(rules)
	words := []string{"redis-cli"}
	if host, port, err := net.SplitHostPort(i.config.hosts[0]); err == nil && i.config.mode == standalone {
		words = append(words, "-h", host, "-p", port)
	}
	if i.config.tls != nil {
		words = append(words, "--tls")
	}
	for _, word := range append([]string{"ACL", "SETUSER", i.config.userName()}, slices.Compact(rules)...) {
		words = append(words, quoteForShell(word))
	}
	return strings.Join(words, " ")
}

var harmlessInShell = regexp.MustCompile(`^[A-Za-z0-9+_./:=-]+$`)

func quoteForShell(word string) string {
	if harmlessInShell.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
