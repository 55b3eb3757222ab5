/** The SDK's own words, for a site that brings none. */
/** @import {Texts} from "./types.js" */

/** @type {Record<string, Texts>} */
const LANGUAGES = {
  en: {
    title: "Shall we let you know?",
    body: "{site} can send you a notification when something happens, even when this page is closed. You can change your mind at any time.",
    legend: "What you would like to hear about",
    yes: "Yes, notify me",
    no: "Not now",
    always: "Always included",
    generic: "There is something new for you.",
  },
  de: {
    title: "Dürfen wir Bescheid geben?",
    body: "{site} kann Ihnen eine Mitteilung schicken, wenn etwas geschieht, auch wenn diese Seite geschlossen ist. Sie können es sich jederzeit anders überlegen.",
    legend: "Worüber Sie etwas hören möchten",
    yes: "Ja, gern",
    no: "Nicht jetzt",
    always: "Immer dabei",
    generic: "Es gibt etwas Neues für Sie.",
  },
  es: {
    title: "¿Quiere que le avisemos?",
    body: "{site} puede enviarle una notificación cuando ocurra algo, aunque esta página esté cerrada. Puede cambiar de opinión en cualquier momento.",
    legend: "Sobre qué quiere recibir avisos",
    yes: "Sí, avíseme",
    no: "Ahora no",
    always: "Siempre incluido",
    generic: "Hay algo nuevo para usted.",
  },
  fr: {
    title: "Souhaitez-vous être prévenu ?",
    body: "{site} peut vous envoyer une notification quand il se passe quelque chose, même si cette page est fermée. Vous pouvez changer d’avis à tout moment.",
    legend: "Ce dont vous voulez être informé",
    yes: "Oui, prévenez-moi",
    no: "Pas maintenant",
    always: "Toujours inclus",
    generic: "Il y a du nouveau pour vous.",
  },
};

/**
 * @param {string} locale BCP 47; an unknown language falls back to English
 * @param {Partial<Texts>} [own] words of the site's own
 * @returns {Texts & {lang: string}}
 */
export function textsFor(locale, own = {}) {
  const language = locale.toLowerCase().split("-")[0];
  const lang = Object.hasOwn(LANGUAGES, language) ? language : "en";
  return { ...LANGUAGES[lang], ...own, lang: Object.keys(own).length ? locale : lang };
}
