package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"fairlead.dev/plugins"
	"fairlead.dev/providers"
)

func newPlugin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "List, describe, verify, install and run plugins",
		Long: `A plugin is a provider in a process of its own: a binary fairlead-NAME with a
manifest fairlead-NAME.json beside it, in a plugin folder. plugin+NAME:// opens it.

The plugin folders are those of the environment variable ` + plugins.PathEnv + `,
or else fairlead/plugins below XDG_DATA_HOME (~/.local/share) and
/usr/local/lib/fairlead/plugins.`,
		Args: subcommand,
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(newPluginList(), newPluginDescribe(), newPluginVerify(), newPluginInstall(), newPluginRun())
	return cmd
}

// installed is a plugin in JSON, with the text of what is wrong with it.
type installed struct {
	plugins.Manifest
	Dir     string `json:"dir"`
	Path    string `json:"path"`
	Problem string `json:"problem,omitempty"`
}

func toJSON(p plugins.Installed, problem error) installed {
	j := installed{Manifest: p.Manifest, Dir: p.Dir, Path: p.Path}
	if problem != nil {
		j.Problem = problem.Error()
	}
	return j
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// jsonFlag adds --json to a command.
func jsonFlag(cmd *cobra.Command, asJSON *bool) *cobra.Command {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON")
	return cmd
}

// findPlugin returns the installed plugin of that name which a host would use,
// whatever its problem.
func findPlugin(name string) (plugins.Installed, error) {
	all, err := plugins.Find(plugins.Folders())
	if err != nil {
		return plugins.Installed{}, &failed{err}
	}
	for _, p := range all {
		if p.Name == name {
			return p, nil
		}
	}
	return plugins.Installed{}, fmt.Errorf("there is no plugin %q in %s", name, nowhere(all))
}

// nowhere says where plugins were looked for, and how to come by one.
func nowhere(others []plugins.Installed) string {
	s := strings.Join(plugins.Folders(), ", ")
	if len(others) == 0 {
		return s + "; install one with: fairlead plugin install BINARY"
	}
	names := make([]string, len(others))
	for i, p := range others {
		names[i] = p.Name
	}
	return s + "; installed: " + strings.Join(names, ", ")
}

func newPluginList() *cobra.Command {
	var asJSON bool
	return jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List the plugins in the plugin folders",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := plugins.Find(plugins.Folders())
			if err != nil {
				return &failed{err}
			}
			if asJSON {
				return printList(cmd.OutOrStdout(), found)
			}
			if len(found) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "no plugin in", nowhere(nil))
				return nil
			}
			t := newTable(cmd.OutOrStdout(), "Plugins", "name", "schemes", "folder", "problem")
			for _, p := range found {
				t.AppendRow(table.Row{p.Name, strings.Join(schemesOf(p), ", "), p.Dir, orNone(p.Problem)})
			}
			t.Render()
			return nil
		},
	}, &asJSON)
}

func printList(out io.Writer, found []plugins.Installed) error {
	list := []installed{}
	for _, p := range found {
		list = append(list, toJSON(p, p.Problem))
	}
	return printJSON(out, list)
}

func schemesOf(p plugins.Installed) []string {
	var names []string
	for _, s := range p.Schemes {
		names = append(names, "plugin+"+s.Name+"://")
	}
	return names
}

func orNone(problem error) string {
	if problem == nil {
		return "none"
	}
	return problem.Error()
}

func newPluginDescribe() *cobra.Command {
	var asJSON bool
	return jsonFlag(&cobra.Command{
		Use:     "describe NAME",
		Short:   "Print what a plugin's manifest says: its schemes and their settings",
		Example: "  fairlead plugin describe redis",
		Args:    oneArgument("the name of a plugin", "redis"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := findPlugin(args[0])
			if err != nil {
				return err
			}
			if p.Problem != nil {
				return &failed{p.Problem}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), toJSON(p, nil))
			}
			printPlugin(cmd.OutOrStdout(), p)
			return nil
		},
	}, &asJSON)
}

func printPlugin(out io.Writer, p plugins.Installed) {
	fmt.Fprintf(out, "%s: %s\n", p.Name, p.Path)
	fmt.Fprintln(out, "- sha256", p.SHA256)
	fmt.Fprintf(out, "- versions of the protocol: %s\n", strings.Trim(fmt.Sprint(p.Protocols), "[]"))
	if len(p.Env) > 0 {
		fmt.Fprintln(out, "- gets from the environment:", strings.Join(p.Env, ", "))
	}
	for _, s := range p.Schemes {
		t := newTable(out, "plugin+"+s.Name+"://  "+s.Help, "setting", "kind", "default", "what it says")
		for _, set := range s.Settings {
			t.AppendRow(table.Row{set.Name, kindOf(set), set.Default, set.Help})
		}
		t.Render()
	}
}

// kindOf returns what a setting takes.
func kindOf(s plugins.Setting) string {
	switch {
	case len(s.Values) > 0:
		return strings.Join(s.Values, " | ")
	case s.Min == 0 && s.Max == 0:
		return string(s.Kind)
	case s.Max == 0:
		return fmt.Sprintf("%s, at least %s", s.Kind, bound(s.Kind, s.Min))
	default:
		return fmt.Sprintf("%s, %s to %s", s.Kind, bound(s.Kind, s.Min), bound(s.Kind, s.Max))
	}
}

func bound(k providers.Kind, n int64) string {
	if k == providers.Duration {
		return time.Duration(n).String()
	}
	return strconv.FormatInt(n, 10)
}
