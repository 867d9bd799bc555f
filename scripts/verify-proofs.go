// Verifies the proofs of a log with Go's own packages (golang.org/x/mod/sumdb/note and tlog): the signatures of two checkpoints, that
// each entry is in the tree, that the later tree continues from the earlier one, and a proof of one event.
//
// Usage: verify-proofs VKEY EARLIER-CHECKPOINT PROOF FOLDER|URL
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Hashes in a full tile, as tlog counts them: two to the power of this.
const height = 8

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: verify-proofs VKEY EARLIER-CHECKPOINT PROOF FOLDER|URL")
		os.Exit(2)
	}
	summary, err := verify(os.Args[1], os.Args[2], os.Args[3], source(os.Args[4]))
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
	fmt.Println(summary)
}

func verify(key, earlier, proof string, log source) (string, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	text, err := log.get("checkpoint")
	if err != nil {
		return "", err
	}
	now, err := open(text, verifier)
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	text, err = os.ReadFile(earlier)
	if err != nil {
		return "", err
	}
	before, err := open(text, verifier)
	if err != nil {
		return "", fmt.Errorf("earlier checkpoint: %w", err)
	}

	// The reader checks each tile against the root before it uses it.
	hashes := tlog.TileHashReader(now, tiles{log})
	steps, err := tlog.ProveTree(now.N, before.N, hashes)
	if err != nil {
		return "", fmt.Errorf("consistency: %w", err)
	}
	if err := tlog.CheckTree(steps, now.N, now.Hash, before.N, before.Hash); err != nil {
		return "", fmt.Errorf("consistency: %w", err)
	}
	if err := entries(log, now, hashes); err != nil {
		return "", err
	}
	index, err := event(proof, verifier)
	if err != nil {
		return "", fmt.Errorf("proof of an event: %w", err)
	}
	return fmt.Sprintf("%s: %d events, each in the tree; continues from %d; event %d proved", verifier.Name(), now.N, before.N, index+1), nil
}

// Opens a checkpoint: its signature must be that of the key, whose name is its origin.
func open(text []byte, verifier note.Verifier) (tlog.Tree, error) {
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("it is not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// Checks that each entry is in the tree, and that its position is its place.
func entries(log source, tree tlog.Tree, hashes tlog.HashReader) error {
	for first := int64(0); first < tree.N; first += 1 << height {
		width := int(min(tree.N-first, 1<<height))
		path := strings.Replace(tlog.Tile{H: height, L: -1, N: first >> height, W: width}.Path(), "tile/8/data/", "tile/entries/", 1)
		bundle, err := log.get(path)
		if err != nil {
			return err
		}
		indexes := make([]int64, width)
		for n := range indexes {
			indexes[n] = tlog.StoredHashIndex(0, first+int64(n))
		}
		leaves, err := hashes.ReadHashes(indexes)
		if err != nil {
			return fmt.Errorf("tiles: %w", err)
		}
		for n, leaf := range leaves {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("%s is cut off", path)
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			record := bundle[2:end]
			bundle = bundle[end:]
			index := first + int64(n)
			if tlog.RecordHash(record) != leaf {
				return fmt.Errorf("entry %d is not in the tree", index)
			}
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			if err != nil {
				return err
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
			if err := position(record, index); err != nil {
				return err
			}
		}
		if len(bundle) != 0 {
			return fmt.Errorf("%s has more than its entries", path)
		}
	}
	return nil
}

func position(record []byte, index int64) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(record, &parts); err != nil {
		return fmt.Errorf("entry %d: %w", index, err)
	}
	if len(parts) != 8 || string(parts[0]) != strconv.FormatInt(index+1, 10) {
		return fmt.Errorf("entry %d is not event %d", index, index+1)
	}
	return nil
}

// Checks the proof of one event, with the leaf that it has in its line `extra`.
func event(file string, verifier note.Verifier) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	head, checkpoint, _ := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return 0, errors.New("it is not a proof")
	}
	record, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return 0, err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return 0, err
	}
	var path tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return 0, err
		}
		path = append(path, hash)
	}
	tree, err := open([]byte(checkpoint), verifier)
	if err != nil {
		return 0, err
	}
	if err := position(record, index); err != nil {
		return 0, err
	}
	return index, tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(record))
}

// Where the log is: a folder, or an address.
type source string

func (s source) get(path string) ([]byte, error) {
	if !strings.HasPrefix(string(s), "http://") {
		return os.ReadFile(filepath.Join(string(s), filepath.FromSlash(path)))
	}
	answer, err := http.Get(string(s) + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// The tiles of C2SP, whose paths have no height.
type tiles struct{ log source }

func (t tiles) Height() int { return height }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for n, tile := range wanted {
		bytes, err := t.log.get(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		found[n] = bytes
	}
	return found, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}
