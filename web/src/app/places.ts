/** The three places of the page, by the first part of their path. */
export const PLACES = [
  { name: "Experiments", href: "/", first: "experiments" },
  { name: "Records", href: "/records", first: "records" },
  { name: "Compare", href: "/compare", first: "compare" },
] as const;
