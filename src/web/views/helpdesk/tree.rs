//! Trees as nested lists: a template cannot call itself, so it gets the steps of a walk.

/// A step of the walk over a tree; a template turns each into a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step<T> {
    /// `<ul>`
    Down,
    /// `</ul>`
    Up,
    /// `<li>` and what stands in it.
    Item(T),
    /// `</li>`
    End,
}

/// Walks over `roots` and what `below` finds under each, depth first; no list for nothing. Deeper
/// than `depth` is left out.
pub(crate) fn walk<'n, N, T>(
    roots: &[&'n N],
    depth: usize,
    below: &impl Fn(&'n N) -> Vec<&'n N>,
    told: &impl Fn(&'n N) -> T,
) -> Vec<Step<T>> {
    let mut steps = Vec::new();
    if roots.is_empty() || depth == 0 {
        return steps;
    }
    steps.push(Step::Down);
    for node in roots {
        steps.push(Step::Item(told(node)));
        steps.extend(walk(&below(node), depth - 1, below, told));
        steps.push(Step::End);
    }
    steps.push(Step::Up);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_becomes_nested_lists_and_a_ring_ends() {
        struct Node(u8, Vec<Node>);
        let tree = Node(1, vec![Node(2, Vec::new())]);
        let steps = walk(&[&tree], 9, &|n: &Node| n.1.iter().collect(), &|n| n.0);
        assert_eq!(
            steps,
            [
                Step::Down,
                Step::Item(1),
                Step::Down,
                Step::Item(2),
                Step::End,
                Step::Up,
                Step::End,
                Step::Up
            ]
        );
        let ring = walk(&[&1], 3, &|n: &i32| vec![n], &|n| *n);
        assert_eq!(
            ring.iter().filter(|s| matches!(s, Step::Item(_))).count(),
            3
        );
    }
}
